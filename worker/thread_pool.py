"""Threads that take jobs in their order: those that call the application, and those that run batches."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Protocol

import structlog


class Job(Protocol):
    """The work of one request. What it raises is logged."""

    def run(self) -> None:
        """Do the work; a thread of the pool calls this."""

    def cancel(self) -> None:
        """Called instead of `run` if the pool is closed first."""


class ThreadPool:
    """`count` threads, which take jobs in the order of their arrival. Any thread may call `submit`. Only the
    thread that owns the server may call `use` and `close`.
    """

    def __init__(self, count: int, name: str = "wsgi") -> None:
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._made = 0
        self._wanted = 0
        self.use(count)

    def __repr__(self) -> str:
        return f"<ThreadPool {self._name} {self._wanted}>"

    def use(self, count: int) -> None:
        """Change the number of threads. Surplus threads end after the jobs that wait now."""
        for _ in range(self._wanted, count):
            # Daemons: one that still computes when the worker has waited long enough must not keep it alive.
            thread = threading.Thread(target=self._work, name=f"{self._name}-{self._made}", daemon=True)
            self._made += 1
            thread.start()
            self._threads.append(thread)  # last: `close` can't wait for one that could not start
        for _ in range(count, self._wanted):
            self._jobs.put(None)
        self._wanted = count

    def submit(self, job: Job) -> None:
        """Add a job, which runs as soon as a thread is free."""
        self._jobs.put(job)

    def close(self, timeout_s: float) -> None:
        """Cancel the waiting jobs, and wait up to `timeout_s` for the running ones."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is not None:
                job.cancel()
        for _ in self._threads:  # each thread ends at the first None that it takes
            self._jobs.put(None)
        deadline_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job.run()
            except BaseException as error:  # a SystemExit would end the thread, and its queue would stop
                structlog.get_logger().error("job failed", exc_info=error)
            del job  # it holds a body
