import pytest

from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import Queue, QueueLimits

LIMITS = QueueLimits(max_requests=3, max_bytes=100)
REQUESTS, BYTES = Rejection.QUEUE_REQUESTS, Rejection.QUEUE_BYTES


def come(queue: Queue, request: str, body_bytes: int) -> Rejection | None:
    """A request that comes in one piece."""
    return queue.reserve(request, body_bytes) or queue.enter(request)


@pytest.mark.parametrize(
    ("ahead", "rejection"), [(-1, None), (0, None), (2, None), (3, REQUESTS), (9, REQUESTS)]
)
def test_who_may_wait(ahead: int, rejection: Rejection | None) -> None:
    assert LIMITS.of_place(ahead) is rejection


@pytest.mark.parametrize(
    ("ahead", "ahead_bytes", "body_bytes", "rejection"),
    [
        (-1, 0, 10**9, None),  # a thread is free
        (-1, 10**9, 10**9, None),  # for those ahead of it, too
        (0, 0, 10**9, None),  # nobody waits
        (0, 10**9, 10**9, None),
        (1, 50, 50, None),
        (1, 50, 51, BYTES),
        (1, 100, 0, None),
        (2, 0, 100, None),
        (9, 100, 1, BYTES),
    ],
)
def test_what_may_come_in(ahead: int, ahead_bytes: int, body_bytes: int, rejection: Rejection | None) -> None:
    assert LIMITS.of_body(ahead, ahead_bytes, body_bytes) is rejection


def test_a_queue_of_none_is_for_those_who_find_a_thread_free() -> None:
    assert QueueLimits(max_requests=0).of_place(-1) is None
    assert QueueLimits(max_requests=0).of_place(0) is REQUESTS


def test_a_thread_that_has_not_woken_yet_is_free_all_the_same() -> None:
    queue = Queue(threads=2, limits=QueueLimits(max_requests=1, max_bytes=0))
    assert [come(queue, name, 10) for name in "abc"] == [None, None, None]
    assert queue.full() is queue.enter("d") is REQUESTS
    assert repr(queue) == "<Queue waiting=3 bytes=30 served=0>"


def test_a_place_is_free_again_when_a_thread_has_taken_its_request_and_the_thread_when_that_is_done() -> None:
    queue = Queue(threads=1, limits=QueueLimits(max_requests=1, max_bytes=1000))
    assert [come(queue, "first", 60), come(queue, "second", 70), come(queue, "x", 1)] == [
        None,
        None,
        REQUESTS,
    ]
    queue.begin("first")
    assert (queue.waiting, queue.waiting_bytes) == (1, 70)
    assert come(queue, "x", 1) is REQUESTS
    queue.end("first")
    assert come(queue, "third", 1) is None, "one waits for the thread that is free, and one more may"
    queue.begin("second")
    queue.end("third")
    queue.end("second")
    assert repr(queue) == "<Queue waiting=0 bytes=0 served=0>"


def test_the_end_of_a_request_counts_once() -> None:
    queue = Queue(threads=2, limits=LIMITS)
    for name in ("first", "second"):
        come(queue, name, 5)
        queue.begin(name)
    for name in ("first", "first", "never begun"):
        queue.begin(name) if name == "never begun" else queue.end(name)
    assert repr(queue) == "<Queue waiting=0 bytes=0 served=1>"


def test_what_comes_in_counts_with_what_waits() -> None:
    queue = Queue(threads=1, limits=LIMITS)
    assert queue.reserve("first", 1000) is None, "for the thread that is free"
    assert queue.reserve("second", 1000) is None, "it would be alone"
    assert queue.reserve("third", 0) is BYTES
    queue.end("first")
    queue.end("second")
    assert [queue.reserve(name, 40) for name in "abc"] == [None, None, BYTES]
    assert queue.enter("a") is None
    assert queue.reserve("c", 21) is BYTES
    assert queue.reserve("c", 20) is None
    assert (queue.waiting, queue.waiting_bytes) == (1, 100)


def test_a_body_that_grows_counts_once_and_gives_all_back_when_it_has_no_room() -> None:
    queue = Queue(threads=0, limits=LIMITS)
    queue.reserve("waits", 10)
    queue.enter("waits")
    assert [queue.reserve("grows", size) for size in (0, 50, 90)] == [None] * 3
    assert queue.waiting_bytes == 100
    assert queue.reserve("grows", 91) is BYTES
    assert queue.waiting_bytes == 10


def test_who_has_no_place_left_gives_its_bytes_back() -> None:
    queue = Queue(threads=0, limits=QueueLimits(max_requests=1))
    assert [come(queue, name, 5) for name in "ab"] == [None, REQUESTS]
    assert queue.waiting_bytes == 5
