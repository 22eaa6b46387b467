from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.waiting import eventually_sync
from tfleet.bulk.prefetch import Prefetch


def test_items_come_in_their_order() -> None:
    with closing(Prefetch(range(100))) as ahead:
        assert list(ahead) == list(range(100))


def test_it_reads_ahead_but_not_far() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with closing(Prefetch(items())) as ahead:
        eventually_sync(lambda: len(made), wanted=lambda count: count == 2)
        assert next(iter(ahead)) == 0
        eventually_sync(lambda: len(made), wanted=lambda count: count == 3)


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with closing(Prefetch(items())) as ahead:
        found = iter(ahead)
        assert next(found) == 1
        with pytest.raises(ValueError, match="broken"):
            next(found)


def test_closing_ends_the_thread_in_the_middle() -> None:
    ahead = Prefetch(range(10**9))
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]
