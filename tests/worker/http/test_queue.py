import pytest

from tfleet.worker.http.queue import Queue, QueueLimits
from tfleet.worker.rejection import Rejection

LIMITS = QueueLimits(max_requests=3, max_bytes=100)
REQUESTS, BYTES = Rejection.QUEUE_REQUESTS, Rejection.QUEUE_BYTES


@pytest.mark.parametrize(
    ("ahead", "ahead_bytes", "body_bytes", "rejection"),
    [
        (-1, 0, 0, None),
        (-1, 0, 10**9, None),  # a thread is free
        (-1, 10**9, 10**9, None),  # for those ahead of it, too
        (0, 0, 10**9, None),  # nobody waits
        (0, 10**9, 10**9, None),
        (1, 50, 50, None),
        (1, 50, 51, BYTES),
        (1, 100, 0, None),
        (2, 0, 100, None),
        (3, 0, 0, REQUESTS),
        (3, 100, 100, REQUESTS),
        (9, 0, 0, REQUESTS),
    ],
)
def test_who_may_wait(ahead: int, ahead_bytes: int, body_bytes: int, rejection: Rejection | None) -> None:
    assert LIMITS.rejection(ahead, ahead_bytes, body_bytes) is rejection


def test_a_queue_of_none_is_for_those_who_find_a_thread_free() -> None:
    assert QueueLimits(max_requests=0).rejection(-1, 0, 1) is None
    assert QueueLimits(max_requests=0).rejection(0, 0, 1) is REQUESTS


def test_a_thread_that_has_not_woken_yet_is_free_all_the_same() -> None:
    queue = Queue(threads=2, limits=QueueLimits(max_requests=1, max_bytes=0))
    assert [queue.enter(10) for _ in range(4)] == [None, None, None, REQUESTS]
    assert repr(queue) == "<Queue waiting=3 bytes=30 served=0>"


def test_a_place_is_free_again_when_a_thread_has_taken_its_request_and_the_thread_when_that_is_done() -> None:
    queue = Queue(threads=1, limits=QueueLimits(max_requests=1, max_bytes=100))
    assert [queue.enter(size) for size in (60, 70, 1)] == [None, None, REQUESTS]
    queue.begin("first", 60)
    assert (queue.waiting, queue.waiting_bytes) == (1, 70)
    assert queue.enter(1) is REQUESTS
    queue.end("first")
    assert queue.enter(1) is None, "one waits for the thread that is free, and one more may"
    queue.begin("second", 70)
    queue.leave(1)
    queue.end("second")
    assert repr(queue) == "<Queue waiting=0 bytes=0 served=0>"


def test_the_end_of_a_request_counts_once() -> None:
    queue = Queue(threads=2, limits=LIMITS)
    for name in ("first", "second"):
        queue.enter(5)
        queue.begin(name, 5)
    for name in ("first", "first", "never begun"):
        queue.end(name)
    assert repr(queue) == "<Queue waiting=0 bytes=0 served=1>"
