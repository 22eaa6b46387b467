from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tfleet.bulk.spark.rebatch import BatchLimits, rebatched


def cut(rows: list[bytes], cuts: list[int], limits: BatchLimits) -> list[list[bytes]]:
    """The rows as Spark might send them, in batches of these sizes again and again, cut anew."""
    batches, begin, turn = [], 0, 0
    while begin < len(rows):
        end = begin + cuts[turn % len(cuts)]
        batches.append(pa.record_batch({"x": pa.array(rows[begin:end], pa.binary())}))
        begin, turn = end, turn + 1
    return [batch["x"].to_pylist() for batch in rebatched(batches, limits)]


def test_small_batches_are_merged_and_large_ones_split() -> None:
    rows = [b"12345678"] * 10
    wanted = [4, 4, 2]
    for cuts in ([1], [3], [10]):
        assert [len(each) for each in cut(rows, cuts, BatchLimits(4, 10_000))] == wanted


def test_a_last_batch_of_one_row_is_one() -> None:
    assert [len(each) for each in cut([b"x"] * 9, [9], BatchLimits(4, 10_000))] == [4, 4, 1]
    assert [len(each) for each in cut([b"x"], [1], BatchLimits(4, 10_000))] == [1]


def test_a_row_larger_than_the_bytes_allowed_is_alone() -> None:
    rows = [b"1", b"x" * 500, b"2", b"3"]
    assert cut(rows, [4], BatchLimits(100, 100)) == [[b"1"], [b"x" * 500], [b"2", b"3"]]


def test_bytes_of_tensors_count_for_each_row() -> None:
    assert [len(each) for each in cut([b""] * 6, [6], BatchLimits(100, 30, tensor_bytes=10))] == [3, 3]


def test_no_rows_are_no_batches() -> None:
    nothing = pa.record_batch({"x": pa.array([], pa.binary())})
    assert list(rebatched([nothing, nothing], BatchLimits(4, 100))) == []


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    most_rows=st.integers(1, 20),
    most_bytes=st.integers(1, 100),
)
def test_how_spark_cuts_rows_changes_no_batch(
    sizes: list[int], cuts: list[int], most_rows: int, most_bytes: int
) -> None:
    rows, limits = [bytes([size]) * size for size in sizes], BatchLimits(most_rows, most_bytes)
    whole = cut(rows, [len(rows)], limits)
    assert cut(rows, cuts, limits) == whole
    assert [row for batch in whole for row in batch] == rows
    assert all(len(batch) <= most_rows for batch in whole)
    assert all(sum(map(len, batch)) <= most_bytes or len(batch) == 1 for batch in whole)


def test_batches_come_before_the_rows_end() -> None:
    read: list[int] = []

    def endless() -> Iterator[pa.RecordBatch]:
        for number in range(1000):
            read.append(number)
            yield pa.record_batch({"x": [number]})

    first = next(rebatched(endless(), BatchLimits(4, 10_000)))
    assert first["x"].to_pylist() == [0, 1, 2, 3]
    assert len(read) == 4
