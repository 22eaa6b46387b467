from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.parquet import ParquetSource, piece_rows
from tfleet.bulk.sources.source import InputPlace, PieceLimits

LIMITS = PieceLimits(16_384, 10**9)


def write(path: Path, rows: int, *, group: int) -> InputFile:
    table = pa.table({"id": np.arange(rows), "x": np.arange(rows) / 2, "kind": ["a", "b"] * (rows // 2)})
    pq.write_table(table, path, row_group_size=group)
    return InputFile(str(path))


def test_reading_goes_on_at_the_end_of_any_piece(tmp_path: Path) -> None:
    source = ParquetSource(write(tmp_path / "f", 50_000, group=20_000), 3, LIMITS)
    whole = list(source.pieces(InputPlace(3), ["id", "x"]))
    assert [each.batch.num_rows for each in whole] == [16_384, 3616, 16_384, 3616, 10_000]
    assert [each.first_row for each in whole] == [0, 16_384, 20_000, 36_384, 40_000]
    for index, piece in enumerate(whole):
        assert list(source.pieces(piece.end, ["id", "x"])) == whole[index + 1 :]
    assert whole[-1].end == InputPlace(3, 50_000)


def test_a_piece_has_no_more_bytes_than_allowed() -> None:
    assert piece_rows(1000, 1000 * 250_000, PieceLimits(500, 8_000_000)) == 32
    assert piece_rows(1000, 1000 * 250_000, PieceLimits(500, 1000)) == 1
    assert piece_rows(1_000_000, 8_000_000, PieceLimits(500, 8_000_000)) == 500


def test_dictionaries_are_read_as_their_values(tmp_path: Path) -> None:
    kinds = pa.array(["a", "b", "a"]).dictionary_encode()
    pq.write_table(pa.table({"kind": kinds}), tmp_path / "f")
    source = ParquetSource(InputFile(str(tmp_path / "f")), 0, LIMITS)
    assert source.schema(["kind"]) == pa.schema({"kind": pa.string()})
    (piece,) = source.pieces(InputPlace(), ["kind"])
    assert piece.batch.to_pydict() == {"kind": ["a", "b", "a"]}


def test_rows_count_without_any_column(tmp_path: Path) -> None:
    source = ParquetSource(write(tmp_path / "f", 20_000, group=20_000), 0, LIMITS)
    assert [each.batch.num_rows for each in source.pieces(InputPlace(), [])] == [16_384, 3616]


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"PAR1 and no more")
    with pytest.raises(CannotScoreError, match="is not a Parquet file that can be read"):
        ParquetSource(InputFile(str(tmp_path / "f")), 0, LIMITS)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=["x", "x"]), tmp_path / "f")
    with pytest.raises(CannotScoreError, match="has two columns 'x': give each its own name"):
        ParquetSource(InputFile(str(tmp_path / "f")), 0, LIMITS)
