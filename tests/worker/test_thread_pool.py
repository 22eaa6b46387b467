import subprocess
import sys
import threading
from collections.abc import Callable

from tests.support.waiting import eventually_sync
from tfleet.worker.thread_pool import ThreadPool


class Job:
    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self._work = work
        self.thread = ""
        self.cancelled = False

    def run(self) -> None:
        self.thread = threading.current_thread().name
        self._work()

    def cancel(self) -> None:
        self.cancelled = True


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("wsgi-")}


def test_jobs_run_at_once_on_all_threads() -> None:
    threads, together = ThreadPool(3), threading.Barrier(3)
    jobs = [Job(lambda: together.wait(10)) for _ in range(3)]
    for job in jobs:
        threads.submit(job)
    eventually_sync(lambda: all(job.thread for job in jobs))
    threads.close(timeout_s=10)
    assert len({job.thread for job in jobs}) == 3
    assert running() == set()


def test_the_number_of_threads_may_change() -> None:
    threads = ThreadPool(1)
    threads.use(3)
    assert len(running()) == 3
    threads.use(2)
    eventually_sync(lambda: len(running()), wanted=lambda count: count == 2)
    threads.close(timeout_s=10)
    assert running() == set()


def test_a_thread_outlives_a_job_that_exits() -> None:
    threads, done = ThreadPool(1), threading.Event()

    def leave() -> None:
        raise SystemExit

    threads.submit(Job(leave))
    threads.submit(Job(done.set))
    assert done.wait(10)
    threads.close(timeout_s=10)


def test_a_close_cancels_what_waits_and_leaves_what_runs() -> None:
    threads, go_on, begun = ThreadPool(1), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)

    runs, waits = Job(work), Job()
    threads.submit(runs)
    threads.submit(waits)
    assert begun.wait(10)
    threads.close(timeout_s=0.01)
    assert waits.cancelled
    assert waits.thread == ""
    assert not runs.cancelled
    go_on.set()
    eventually_sync(lambda: not running())


def test_close_after_a_thread_could_not_start() -> None:
    # In a process of its own: the size of stacks, too large for any thread, holds for the whole process.
    script = """
import threading
from tfleet.worker.thread_pool import ThreadPool
threads = ThreadPool(1)
threading.stack_size(2**46)
try:
    threads.use(2)
except RuntimeError as error:
    print(error)
threads.close(timeout_s=10)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout == "can't start new thread\n"
