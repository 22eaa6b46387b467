from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.selection import Selection
from tfleet.bulk.sources.arrow_file import ArrowSource
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.source import InputPlace, PieceLimits

LIMITS = PieceLimits(1000, 10**6)
TABLE = pa.table({"id": np.arange(5000), "kind": pa.array(["a", "b"] * 2500).dictionary_encode()})


def write(path: Path, *, stream: bool = False) -> ArrowSource:
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(path, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2300)
    return ArrowSource(InputFile(str(path)), 2, LIMITS)


@pytest.mark.parametrize("stream", [False, True])
def test_reading_goes_on_at_the_end_of_any_piece(tmp_path: Path, stream: bool) -> None:
    source = write(tmp_path / "f", stream=stream)
    assert source.columns == ["id", "kind"]
    whole = list(source.pieces(InputPlace(2), ["kind", "id"]))
    assert [each.first_row for each in whole] == [0, 1000, 2000, 2300, 3300, 4300, 4600]
    assert [row for each in whole for row in each.batch["id"].to_pylist()] == list(range(5000))
    assert whole[0].batch.schema == pa.schema({"kind": pa.string(), "id": pa.int64()})
    for index, piece in enumerate(whole):
        assert list(source.pieces(piece.end, ["kind", "id"])) == whole[index + 1 :]


VIEWS = {
    "text": (pa.array(["a", None, "b" * 20], pa.string_view()), pa.string()),
    "bytes": (pa.array([b"a", None, b"b"], pa.binary_view()), pa.binary()),
    "runs": (pc.run_end_encode(pa.array([1, 1, 2])), pa.int64()),
    "lists": (pa.array([["a"], None, []], pa.list_(pa.string_view())), pa.list_(pa.string())),
    "fixed": (pa.array([["a"], None, ["b"]], pa.list_(pa.string_view(), 1)), pa.list_(pa.string(), 1)),
    "fields": (
        pa.array([{"x": "a"}, None, {"x": "b"}], pa.struct({"x": pa.string_view()})),
        pa.struct({"x": pa.string()}),
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_other_layouts_of_values_become_plain_ones(tmp_path: Path, name: str) -> None:
    column, kind = VIEWS[name]
    batch = pa.record_batch({"x": column})
    with pa.ipc.new_file(tmp_path / "f", batch.schema) as writer:
        writer.write_batch(batch)
    source = ArrowSource(InputFile(str(tmp_path / "f")), 0, LIMITS)
    (piece,) = Selection(sample=0.5, seed=9).pieces(source.pieces(InputPlace(), ["x"]))
    assert source.schema(["x"]).field("x").type == piece.batch.schema.field("x").type == kind
    assert piece.batch["x"].to_pylist() == column.to_pylist()[::2]


def test_a_piece_has_no_more_bytes_than_allowed(tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "f", pa.schema({"image": pa.binary()})) as writer:
        writer.write_batch(pa.record_batch({"image": [b"x" * 400_000] * 10}))
    source = ArrowSource(InputFile(str(tmp_path / "f")), 0, LIMITS)
    assert [each.batch.num_rows for each in source.pieces(InputPlace(), ["image"])] == [2] * 5


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.arrow").write_bytes(b"ARROW1 and no more")
    with pytest.raises(CannotScoreError, match="is no Arrow file or stream"):
        ArrowSource(InputFile(str(tmp_path / "f.arrow")), 0, LIMITS)


def test_a_stream_that_breaks_off_ends_the_run(tmp_path: Path) -> None:
    source = write(tmp_path / "f", stream=True)
    content = (tmp_path / "f").read_bytes()
    (tmp_path / "f").write_bytes(content[: len(content) // 2])
    with pytest.raises(RunFailedError, match="f: cannot be read"):
        list(source.pieces(InputPlace(2), ["id"]))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table([[1], [2]], names=["x", "x"])
    with pa.ipc.new_file(tmp_path / "f", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(CannotScoreError, match="has two columns 'x': give each its own name"):
        ArrowSource(InputFile(str(tmp_path / "f")), 0, LIMITS)
