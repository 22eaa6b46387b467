import pytest

from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import AdmissionQueue, BusyTime, QueueLimits

LIMITS = QueueLimits(max_requests=3, max_bytes=100, kept_for_small=0)
REQUESTS, BYTES = Rejection.QUEUE_REQUESTS, Rejection.QUEUE_BYTES


def come(queue: AdmissionQueue, request: str, body_bytes: int) -> Rejection | None:
    """A request that comes in one piece."""
    return queue.reserve(request, body_bytes) or queue.enter(request)


@pytest.mark.parametrize(
    ("ahead", "rejection"), [(-1, None), (0, None), (2, None), (3, REQUESTS), (9, REQUESTS)]
)
def test_a_full_queue_rejects_another_request(ahead: int, rejection: Rejection | None) -> None:
    assert LIMITS.rejects_request(ahead) is rejection


@pytest.mark.parametrize(
    ("others_bytes", "body_bytes", "rejection"),
    [
        (0, 10**9, None),  # the only one
        (50, 50, None),
        (50, 51, BYTES),
        (100, 0, None),
        (1, 100, BYTES),
        (10**9, 1, BYTES),
    ],
)
def test_bodies_share_the_queues_bytes(
    others_bytes: int, body_bytes: int, rejection: Rejection | None
) -> None:
    assert LIMITS.rejects_body(others_bytes, body_bytes, small=False) is rejection


def test_free_threads_do_not_raise_the_limit_of_bytes() -> None:
    queue = AdmissionQueue(threads=24, limits=LIMITS)
    assert [queue.reserve(name, 60) for name in "abc"] == [None, BYTES, BYTES]
    assert queue.waiting_bytes == 60


def test_with_max_queue_0_only_free_threads_take_requests() -> None:
    assert QueueLimits(max_requests=0).rejects_request(-1) is None
    assert QueueLimits(max_requests=0).rejects_request(0) is REQUESTS


def test_a_thread_that_has_not_woken_yet_is_free() -> None:
    queue = AdmissionQueue(threads=2, limits=QueueLimits(max_requests=1))
    assert [come(queue, name, 10) for name in "abc"] == [None, None, None]
    assert queue.full() is queue.enter("d") is REQUESTS
    assert repr(queue) == "<AdmissionQueue waiting=3 bytes=30 served=0>"


def test_a_place_is_free_when_a_thread_has_taken_its_request() -> None:
    queue = AdmissionQueue(threads=1, limits=QueueLimits(max_requests=1, max_bytes=1000))
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
    assert repr(queue) == "<AdmissionQueue waiting=0 bytes=0 served=0>"


def test_the_end_of_a_request_counts_once() -> None:
    queue = AdmissionQueue(threads=2, limits=LIMITS)
    for name in ("first", "second"):
        come(queue, name, 5)
        queue.begin(name)
    for name in ("first", "first", "never begun"):
        queue.begin(name) if name == "never begun" else queue.end(name)
    assert repr(queue) == "<AdmissionQueue waiting=0 bytes=0 served=1>"


def test_a_body_that_comes_in_counts_with_those_that_wait() -> None:
    queue = AdmissionQueue(threads=1, limits=LIMITS)
    assert queue.reserve("first", 1000) is None, "it is the only one"
    assert queue.reserve("second", 1) is BYTES
    queue.end("first")
    assert [queue.reserve(name, 40) for name in "abc"] == [None, None, BYTES]
    assert queue.enter("a") is None
    assert queue.reserve("c", 21) is BYTES
    assert queue.reserve("c", 20) is None
    assert (queue.waiting, queue.waiting_bytes) == (1, 100)


def test_a_body_without_room_gives_all_its_bytes_back() -> None:
    queue = AdmissionQueue(threads=0, limits=LIMITS)
    queue.reserve("waits", 10)
    queue.enter("waits")
    assert [queue.reserve("grows", size) for size in (0, 50, 90)] == [None] * 3
    assert queue.waiting_bytes == 100
    assert queue.reserve("grows", 91) is BYTES
    assert queue.waiting_bytes == 10


def test_a_request_without_a_place_gives_its_bytes_back() -> None:
    queue = AdmissionQueue(threads=0, limits=QueueLimits(max_requests=1))
    assert [come(queue, name, 5) for name in "ab"] == [None, REQUESTS]
    assert queue.waiting_bytes == 5


KEEPING = QueueLimits(max_requests=9, max_bytes=640)


@pytest.mark.parametrize(("body_bytes", "small"), [(0, True), (10, True), (11, False), (640, False)])
def test_a_64th_of_all_bytes_is_small(body_bytes: int, small: bool) -> None:
    assert KEEPING.is_small(body_bytes) is small


@pytest.mark.parametrize(
    ("others_bytes", "body_bytes", "small", "rejection"),
    [
        (1, 479, False, None),
        (1, 480, False, BYTES),
        (480, 10, True, None),
        (470, 11, False, BYTES),
        (630, 10, True, None),
        (631, 10, True, BYTES),
    ],
)
def test_a_quarter_is_kept_for_small_bodies(
    others_bytes: int, body_bytes: int, small: bool, rejection: Rejection | None
) -> None:
    assert KEEPING.rejects_body(others_bytes, body_bytes, small=small) is rejection


def test_the_start_of_a_large_body_does_not_count_as_small() -> None:
    queue = AdmissionQueue(threads=0, limits=KEEPING)
    queue.reserve("alone", 1)
    assert queue.reserve("large", 479) is None
    assert queue.reserve("next", 5) is BYTES
    assert queue.reserve("photograph", 5, small=True) is None


def test_a_request_whose_client_left_keeps_only_its_place() -> None:
    queue = AdmissionQueue(threads=0, limits=LIMITS)
    come(queue, "waits", 60)
    queue.reserve("comes", 30)
    queue.forget_body("waits")
    queue.forget_body("comes")
    assert (queue.waiting, queue.waiting_bytes) == (1, 0)
    queue.begin("waits")
    assert repr(queue) == "<AdmissionQueue waiting=0 bytes=0 served=1>"


def test_busy_spans_add_up_with_the_one_that_lasts() -> None:
    now = [100.0]
    busy = BusyTime(lambda: now[0])
    assert busy.seconds == 0
    busy.begin()
    now[0] = 103.0
    assert (busy.seconds, repr(busy)) == (3.0, "<BusyTime 3.000 s, busy>")
    busy.begin()
    now[0] = 104.0
    busy.end()
    now[0] = 200.0
    busy.end()
    assert busy.seconds == 4
    busy.begin()
    now[0] = 201.5
    assert busy.seconds == 5.5


def test_busy_time_runs_while_a_request_is_served() -> None:
    queue = AdmissionQueue(threads=2, limits=QueueLimits())
    for name in "ab":
        queue.enter(name)
    assert queue.busy_s == 0, "who only waits for a thread"
    queue.begin("a")
    queue.begin("b")
    queue.end("a")
    before_s = queue.busy_s
    while queue.busy_s == before_s:
        pass
    queue.end("b")
    assert queue.busy_s == queue.busy_s > before_s > 0
