"""The queue of requests for pages: two threads of their own, and a limit of how many requests wait for them.

A page is whatever needs no model: `/metrics`, `/worker`, `/models`, the help text, and 404s. One that takes
long delays other pages, but no prediction, no health check, and no connection.
"""

from __future__ import annotations

from typing import Final

from tfleet.contract.problem import Problem
from tfleet.worker.thread_pool import Job, ThreadPool

PAGE_THREADS: Final = 2
"""Two, so that one slow page does not delay all others."""

MAX_WAITING_PAGES: Final = 64
"""A page takes about a millisecond, so that even the last one waits for less than a tenth of a second."""

_FULL: Final = Problem(
    503,
    f"{MAX_WAITING_PAGES} requests for pages of this worker wait already: ask again after Retry-After",
    retry_after_s=1,
)


class PageQueue:
    """Hands requests for pages to its threads. Only the event loop's thread may call its methods."""

    def __init__(self) -> None:
        self._threads = ThreadPool(PAGE_THREADS, name="page")
        self._open = 0
        """Requests that wait or are being answered. Also one whose client has gone counts until a thread has
        taken it, or the list of them would have no bound."""

    def __repr__(self) -> str:
        return f"<PageQueue open={self._open}>"

    def submit(self, job: Job) -> Problem | None:
        """Let a thread run the job. Returns why it will not, or None; then `ended` must be called later."""
        if self._open >= PAGE_THREADS + MAX_WAITING_PAGES:
            return _FULL
        self._open += 1
        self._threads.submit(job)
        return None

    def ended(self) -> None:
        """One of the jobs has been run."""
        self._open -= 1

    def close(self, timeout_s: float) -> None:
        """Cancel the waiting jobs, and wait up to `timeout_s` for the running ones."""
        self._threads.close(timeout_s)
