from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.support.tensor_models import write_arithmetic, write_vocabulary
from tfleet.bulk.local_scorer import LocalScorer, local_predictions
from tfleet.bulk.model_columns import model_columns
from tfleet.bulk.scorer import ScoredBatch
from tfleet.worker.api.protocols.native.layout import row_layout
from tfleet.worker.inference.open_model import load_model
from tfleet.worker.model.find import find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

_Spec = tf.TensorSpec


class Lists(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """Rows of any length, the sum of each; a negative first number is rejected."""

    @tf.function(input_signature=[_Spec([None, None], tf.int32, "steps")])  # type: ignore[untyped-decorator] # as above
    def total(self, steps: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_non_negative(steps[:, 0], "it is negative")]):
            return {"total": tf.reduce_sum(steps, axis=1), "doubled": steps * 2}


@pytest.fixture
def scorer(tmp_path: Path) -> Iterator[Callable[..., LocalScorer]]:
    models: list[Any] = []

    def make(path: Path, columns: list[str], *, batch_rows: int = 64, **spec: Any) -> LocalScorer:
        model = load_model(find_model(path, **spec), cpus=1)
        models.append(model)
        model.warm_up((1, batch_rows))
        layout = row_layout(model.session.signature(), model.facts.columns.value)
        chosen = model_columns(layout, columns, "the rows")
        return LocalScorer(model, chosen, local_predictions(model, 1), batch_rows=batch_rows)

    yield make
    for model in models:
        model.close()


def score(scorer: LocalScorer, columns: dict[str, Any], unread: dict[int, str] | None = None) -> ScoredBatch:
    return scorer.score(pa.record_batch(columns), unread or {})


def lists_model(folder: Path) -> Path:
    module = Lists()
    tf.saved_model.save(module, str(folder), signatures=module.total)
    return folder


def test_each_row_gets_its_outputs(scorer: Any, tmp_path: Path) -> None:
    add = scorer(write_arithmetic(tmp_path / "m" / "1"), ["a", "b", "more"])
    found = score(add, {"more": [1, 2], "b": [1.0, 2.0], "a": [10, 20]})
    assert found.predictions.to_pydict() == {"diff": [9.0, 18.0], "sum": [11.0, 22.0]}
    assert found.errors == {}


def test_rows_that_cannot_be_scored_do_not_harm_others(scorer: Any, tmp_path: Path) -> None:
    add = scorer(write_arithmetic(tmp_path / "m" / "1"), ["a", "b"])
    a = [1e39 if number in {5, 40} else None if number == 7 else float(number) for number in range(64)]
    found = score(add, {"a": pa.array(a), "b": pa.array([1.0] * 64)}, {11: "could not be read"})
    too_large = "column 'a': 1e+39 is out of range for float32 (up to 3.4028e+38)"
    assert found.errors == {
        5: too_large,
        7: "column 'a': no value",
        11: "could not be read",
        40: too_large,
    }
    sums = [None if number in {5, 7, 11, 40} else number + 1.0 for number in range(64)]
    assert found.predictions["sum"].to_pylist() == sums


def test_a_batch_without_a_good_row_has_nulls(scorer: Any, tmp_path: Path) -> None:
    add = scorer(write_arithmetic(tmp_path / "m" / "1"), ["a", "b"])
    found = score(add, {"a": pa.array([None, None], pa.float32()), "b": [1.0, 2.0]})
    assert found.predictions.to_pydict() == {"diff": [None, None], "sum": [None, None]}
    assert len(found.errors) == 2


def test_rows_of_several_lengths_are_scored_and_never_padded(scorer: Any, tmp_path: Path) -> None:
    total = scorer(lists_model(tmp_path / "m" / "1"), ["steps"])
    found = score(total, {"steps": [[1], [1, 2], [3], [4, 5], [1, 2, 3], [1, None], [6]]})
    assert found.predictions.to_pydict() == {
        "doubled": [[2], [2, 4], [6], [8, 10], [2, 4, 6], None, [12]],
        "total": [1, 3, 3, 9, 6, None, 6],
    }
    assert found.errors == {5: "input 'steps' at [1]: null is no value: fill it in, or leave the row out"}


def test_a_value_that_the_model_rejects_fails_its_row(scorer: Any, tmp_path: Path) -> None:
    total = scorer(lists_model(tmp_path / "m" / "1"), ["steps"])
    found = score(total, {"steps": [[1], [2], [-3], [4]]})
    assert found.predictions["total"].to_pylist() == [1, 2, None, 4]
    assert list(found.errors) == [2]
    assert found.errors[2].startswith("the model rejects the input: ")
    assert "it is negative" in found.errors[2]


def test_a_shape_that_the_model_does_not_take_fails_its_rows(scorer: Any, tmp_path: Path) -> None:
    mixed = scorer(
        write_arithmetic(tmp_path / "m" / "1"),
        ["half", "brain", "whole", "flag", "word"],
        signature="mixed",
    )
    found = score(
        mixed,
        {
            "half": [[1.0, 2.0], [1.0], [3.0, 4.0]],
            "brain": [[0.5, 1.0]] * 3,
            "whole": [1, 2, 3],
            "flag": [True, False, True],
            "word": ["a", "b", "c"],
        },
    )
    assert found.predictions["half"].to_pylist() == [[2.0, 4.0], None, [6.0, 8.0]]
    assert found.predictions["word"].to_pylist() == [b"a!", None, b"c!"]
    assert list(found.errors) == [1]
    assert "a list of 1 values stands where 2 are wanted" in found.errors[1]


def test_strings_are_looked_up_in_a_table(scorer: Any, tmp_path: Path) -> None:
    number = scorer(write_vocabulary(tmp_path / "m" / "1"), ["text"])
    found = score(number, {"text": ["good", "?", "bad"]})
    assert found.predictions.to_pydict() == {"number": [1, 0, 2]}


def test_a_slice_of_a_larger_batch_is_scored_as_what_it_is(scorer: Any, tmp_path: Path) -> None:
    total = scorer(lists_model(tmp_path / "m" / "1"), ["steps"])
    batch = pa.record_batch({"steps": [[number] * (1 + number % 2) for number in range(10)]})
    found = total.score(batch.slice(4, 3), {})
    assert found.predictions["total"].to_pylist() == [4, 10, 6]


def test_labels_come_from_the_model_folder(scorer: Any) -> None:
    iris = scorer(Path("worker/models/iris"), ["sepal_length", "sepal_width", "petal_length", "petal_width"])
    rows = np.array([[5.1, 3.8, 1.9, 0.4], [6.7, 3.1, 4.4, 1.4], [5.8, 2.7, 5.1, 1.9]])
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    found = score(iris, dict(zip(names, rows.T, strict=True)))
    assert found.predictions["label"].to_pylist() == ["setosa", "versicolor", "virginica"]
