from __future__ import annotations

import pyarrow as pa

from tfleet.bulk.spark.texts import TextColumns
from tfleet.worker.model.signature import TensorInfo

FLOAT = TensorInfo("x", "", "float32", (None, 1))
WHOLE = TensorInfo("n", "", "int32", (None, 1))
WORD = TensorInfo("word", "", "string", (None, 1))


def test_texts_become_what_the_model_takes() -> None:
    columns = TextColumns({"x": FLOAT, "n": WHOLE, "word": WORD})
    batch = pa.record_batch(
        {"id": ["a", "b"], "x": ["1.5", "2e3"], "n": ["7", "-1"], "word": ['say "hi",', "two\nlines"]}
    )
    parsed, errors = columns.parsed(batch)
    assert parsed.to_pydict() == {
        "id": ["a", "b"],
        "x": [1.5, 2000.0],
        "n": [7, -1],
        "word": ['say "hi",', "two\nlines"],
    }
    assert errors == {}


def test_a_wrong_cell_costs_its_own_row_only() -> None:
    columns = TextColumns({"x": FLOAT, "n": WHOLE})
    batch = pa.record_batch({"x": ["1", "wide", None, ""], "n": ["0x10", "1", "2", "3"]})
    parsed, errors = columns.parsed(batch)
    assert parsed.to_pydict() == {"x": [1.0, None, None, None], "n": [None, 1, 2, 3]}
    assert list(errors) == [1, 0] or list(errors) == [0, 1]
    assert "column 'x'" in errors[1]
    assert "column 'n'" in errors[0]


def test_one_empty_column_has_as_many_rows() -> None:
    parsed, errors = TextColumns({"x": FLOAT}).parsed(pa.record_batch({"x": pa.array([None, "1", ""])}))
    assert parsed["x"].to_pylist() == [None, 1.0, None]
    assert errors == {}
