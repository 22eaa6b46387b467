from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from tfleet.bulk.filter import parse_filter
from tfleet.bulk.selection import Selection, in_sample
from tfleet.bulk.sources.source import InputPlace, Piece


def piece(first: int, rows: int, errors: dict[int, str] | None = None) -> Piece:
    batch = pa.record_batch({"id": pa.array(range(first, first + rows), pa.int64())})
    return Piece(batch, first, InputPlace(0, first + rows), errors or {})


def ids(selection: Selection, *pieces: Piece, taken: int = 0) -> list[int]:
    return [each for one in selection.pieces(pieces, taken) for each in one.batch.column("id").to_pylist()]


def test_a_limit_takes_the_first_rows_and_reads_no_more() -> None:
    read = []

    def pieces() -> Iterator[Piece]:
        for first in range(0, 100, 10):
            read.append(first)
            yield piece(first, 10)

    found = list(Selection(limit=15).pieces(pieces()))
    assert [each.batch.num_rows for each in found] == [10, 5]
    assert read == [0, 10]


def test_rows_of_earlier_parts_count_towards_a_limit() -> None:
    assert ids(Selection(limit=15), piece(10, 10), piece(20, 10), taken=10) == [10, 11, 12, 13, 14]
    assert ids(Selection(limit=15), piece(20, 10), taken=15) == []


def test_a_filtered_piece_keeps_its_end() -> None:
    (found,) = Selection(parse_filter("id == 3")).pieces([piece(0, 10)])
    assert found.batch.to_pydict() == {"id": [3]}
    assert found.end == InputPlace(0, 10)


def test_rows_that_could_not_be_read_pass_every_filter() -> None:
    (found,) = Selection(parse_filter("id == 3")).pieces([piece(0, 10, {7: "broken"})])
    assert found.batch.to_pydict() == {"id": [3, 7]}
    assert found.errors == {1: "broken"}


def test_a_sample_is_the_same_however_rows_are_read() -> None:
    selection = Selection(sample=0.3, seed=5)
    whole = ids(selection, piece(0, 1000))
    assert whole == ids(selection, *(piece(first, 10) for first in range(0, 1000, 10)))
    assert whole != ids(Selection(sample=0.3, seed=6), piece(0, 1000))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 1.0])
def test_a_sample_has_about_its_share(share: float) -> None:
    rows = 1_000_000
    found = np.count_nonzero(in_sample(0, 0, rows, share, 0))
    assert abs(found - share * rows) <= 5 * (rows * share * (1 - share)) ** 0.5


def test_samples_of_two_files_differ() -> None:
    assert (in_sample(0, 0, 100, 0.5, 0) != in_sample(1, 0, 100, 0.5, 0)).any()
