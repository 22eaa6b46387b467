from tfleet.worker.wsgi.admission_queue import BusyTime, Queue, QueueLimits


def test_spans_add_up_the_one_that_is_not_over_included() -> None:
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


def test_a_worker_is_busy_from_the_first_to_the_last_request_that_it_serves() -> None:
    queue = Queue(threads=2, limits=QueueLimits())
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
