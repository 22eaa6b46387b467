from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from tests.bulk.fake_scorer import FakeScorer
from tfleet.bulk.errors import RunFailedError
from tfleet.bulk.spark.rebatch import BatchLimits
from tfleet.bulk.spark.settings import UNREAD
from tfleet.bulk.spark.stream import RowStream


def batches(rows: int, size: int = 10) -> Iterator[pa.RecordBatch]:
    for begin in range(0, rows, size):
        numbers = range(begin, min(begin + size, rows))
        yield pa.record_batch({"x": list(numbers), "name": [str(number) for number in numbers]})


def stream(scorer: FakeScorer, keep: tuple[str, ...] = ("name",)) -> RowStream:
    return RowStream(scorer, keep, BatchLimits(scorer.most_rows, 10_000_000))


def test_each_row_keeps_its_place_with_its_prediction() -> None:
    found = pa.Table.from_batches(stream(FakeScorer(most_rows=7)).scored(batches(95))).to_pydict()
    assert found == {
        "name": [str(n) for n in range(95)],
        "y": [2 * n for n in range(95)],
        "_error": [None] * 95,
    }


def test_a_row_that_fails_is_kept_with_its_reason() -> None:
    scorer = FakeScorer(failing=frozenset({3, 94}))
    found = pa.Table.from_batches(stream(scorer).scored(batches(95))).to_pydict()
    assert [row for row, text in enumerate(found["_error"]) if text] == [3, 94]
    assert [row for row, y in enumerate(found["y"]) if y is None] == [3, 94]


def test_a_row_that_was_not_read_is_kept() -> None:
    batch = pa.record_batch({"x": [1, None], "name": ["a", None], UNREAD: [None, "is no row"]})
    found = pa.Table.from_batches(stream(FakeScorer()).scored([batch])).to_pydict()
    assert found == {
        "name": ["a", None],
        "y": [2, None],
        "_error": [None, "is no row"],
    }


def test_who_wants_one_batch_has_one_scored() -> None:
    scorer = FakeScorer(most_rows=10, concurrency=4)
    found = stream(scorer).scored(batches(1000))
    assert next(found).num_rows == 10
    found.close()  # type: ignore[attr-defined] # a generator
    assert scorer.calls == [10]


def test_no_more_batches_are_read_than_are_scored_at_a_time() -> None:
    read = []

    def counted() -> Iterator[pa.RecordBatch]:
        for batch in batches(1000):
            read.append(batch.num_rows)
            yield batch

    found = stream(FakeScorer(most_rows=10, concurrency=3)).scored(counted())
    for taken in range(1, 20):
        next(found)
        assert sum(read) <= 10 * (taken + 3)
    found.close()  # type: ignore[attr-defined] # a generator


def test_batches_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)
    calls: list[int] = []

    def meet(batch: pa.RecordBatch) -> None:
        calls.append(batch.num_rows)
        if batch["x"][0].as_py():  # the first one is alone
            both.wait()

    scorer = FakeScorer(most_rows=10, concurrency=2, before=meet)
    assert sum(batch.num_rows for batch in stream(scorer).scored(batches(50))) == 50


def test_a_failed_run_fails_the_task_and_ends_its_threads() -> None:
    def fail(batch: pa.RecordBatch) -> None:
        raise RunFailedError("the fleet does not answer")

    with pytest.raises(RunFailedError, match="does not answer"):
        list(stream(FakeScorer(before=fail)).scored(batches(1000)))
