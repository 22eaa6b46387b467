"""The memory that the inputs of all requests take together.

A body of a few KB may declare hundreds of megabytes: compressed, or as a dictionary that many rows share. A
single one is limited (protocols/limits.py). This limits those that are worked on at the same time.

The rules:

- The decoders reserve what something is going to take before it is inflated or allocated. A request keeps
  what it has reserved until its answer is written.
- A request that is the only one gets what it asks for, whatever that is: its own limits bound it.
- One that does not fit is rejected at once (429). It never waits: it would hold a thread and its body.
- What takes less than 1 MiB is neither limited nor counted, so that rows of a table pay for no lock and are
  not rejected because of others' tensors. All threads together take no more than 1 MiB each in this way.
- A request is worked on by one thread, so the thread stands for the request.
"""

from __future__ import annotations

import threading
from typing import Final

from tfleet.worker.api.problems import RejectedError
from tfleet.worker.rejection import Rejection

_NOT_COUNTED_BYTES: Final = 2**20


class InputBudget:
    """Counts the bytes that the threads have reserved. Safe to use from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._by_thread: dict[int, int] = {}
        """What each thread has asked for, also where that is not counted yet."""
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<InputBudget {self._bytes} of {self._max_bytes} bytes>"

    @property
    def reserved_bytes(self) -> int:
        """The bytes of all requests that are counted."""
        return self._bytes

    def reserve(self, size: int) -> None:
        """Reserve so many more bytes for this thread's request. Raises RejectedError if others have them."""
        thread = threading.get_ident()
        had = self._by_thread.get(thread, 0)
        wanted = had + size
        if wanted > _NOT_COUNTED_BYTES:
            with self._lock:
                others = self._bytes - _counted(had)
                if 0 < others > self._max_bytes - wanted:
                    raise RejectedError(Rejection.INPUT_BYTES)
                self._bytes = others + wanted
        # No other thread uses this key.
        self._by_thread[thread] = wanted

    def release(self) -> None:
        """Give back all that this thread has reserved."""
        had = self._by_thread.pop(threading.get_ident(), 0)
        if had > _NOT_COUNTED_BYTES:
            with self._lock:
                self._bytes -= had


def _counted(size: int) -> int:
    return size if size > _NOT_COUNTED_BYTES else 0
