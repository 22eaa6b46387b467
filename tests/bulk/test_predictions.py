from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pytest

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.predictions import LabelPredictions, OutputPredictions, output_schema, schema_of
from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.model.signature import Signature, TensorInfo

ROWS = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]], np.float32)


def labelled(top: int = 1, **scores: Any) -> dict[str, Any]:
    predictions = LabelPredictions(ClassScores(("cat", "dog", "cow"), **scores), top)
    columns = predictions.columns({"p": ROWS}, 2)
    found: dict[str, Any] = pa.RecordBatch.from_arrays(columns, schema=predictions.schema).to_pydict()
    return found


def signature(*outputs: tuple[str, str, tuple[int | None, ...] | None]) -> Signature:
    return Signature("s", (), tuple(TensorInfo(name, "", dtype, shape) for name, dtype, shape in outputs))


def test_a_row_has_its_best_label() -> None:
    assert labelled() == {"label": ["dog", "cat"], "probability": [pytest.approx(0.7), 0.5]}


def test_several_labels_are_lists_with_the_best_first() -> None:
    found = labelled(top=2)
    assert found["labels"] == [["dog", "cow"], ["cat", "dog"]]
    assert found["probabilities"] == [pytest.approx([0.7, 0.2]), [0.5, 0.25]]


def test_what_is_no_probability_is_a_score() -> None:
    assert set(labelled(probabilities=False)) == {"label", "score"}
    assert LabelPredictions(ClassScores(("a",), probabilities=False)).probability is None


def test_labels_below_the_threshold_are_left_out() -> None:
    assert labelled(threshold=0.6) == {"label": ["dog", None], "probability": [pytest.approx(0.7), None]}
    assert labelled(top=3, threshold=0.22)["labels"] == [["dog"], ["cat", "dog", "cow"]]


def test_outputs_are_columns_of_their_types() -> None:
    outputs = {
        "brain": np.array([1.5, 2.5], ml_dtypes.bfloat16),
        "matrix": np.arange(12, dtype=np.int32).reshape(2, 3, 2),
        "one": np.array([[1.0], [2.0]], np.float64),
        "steps": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "word": np.array([b"a", b"\xff"], object),
    }
    schema = output_schema(
        signature(
            ("brain", "bfloat16", (None,)),
            ("matrix", "int32", (None, 3, 2)),
            ("one", "float64", (None, 1)),
            ("steps", "uint8", (None, None)),
            ("word", "string", (None,)),
        )
    )
    assert [str(each.type) for each in schema] == [
        "float",
        "fixed_size_list<item: fixed_size_list<item: int32>[2]>[3]",
        "double",
        "list<item: uint8>",
        "binary",
    ]
    batch = pa.RecordBatch.from_arrays(OutputPredictions(schema).columns(outputs, 2), schema=schema)
    batch.validate(full=True)
    assert batch.to_pydict() == {
        "brain": [1.5, 2.5],
        "matrix": [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]],
        "one": [1.0, 2.0],
        "steps": [[0, 1, 2], [3, 4, 5]],
        "word": [b"a", b"\xff"],
    }


def test_an_answer_says_its_types_where_nothing_else_does() -> None:
    outputs: dict[str, Any] = {"p": np.zeros((2, 1), np.float32), "v": np.zeros((2, 3), np.int64)}
    assert schema_of(outputs) == pa.schema({"p": pa.float32(), "v": pa.list_(pa.int64(), 3)})


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (("m", "float32", (3,)), r"output 'm' has the shape \[3\], and not a value for each row"),
        (("m", "float32", None), r"output 'm' has the shape \?, and not a value for each row"),
        (("m", "complex64", (None,)), "output 'm' is complex, which Parquet has not"),
        (("m", "resource", (None,)), "output 'm' is resource, which no file can hold"),
    ],
)
def test_outputs_that_are_no_rows_are_refused(output: Any, reason: str) -> None:
    with pytest.raises(CannotScoreError, match=reason):
        output_schema(signature(output))


def test_an_answer_with_other_rows_ends_the_run() -> None:
    predictions = OutputPredictions(pa.schema({"m": pa.float32()}))
    with pytest.raises(RunFailedError, match=r"output 'm' has the shape \[3\] for 2 rows"):
        predictions.columns({"m": np.zeros(3, np.float32)}, 2)
