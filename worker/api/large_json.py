"""Large JSON documents, and other text, are read one at a time.

A document of numbers becomes as many objects of Python. Reading several at a time gains nothing, as each step
needs the interpreter's lock. It costs a lot, as their lists exist at the same time: Python's garbage
collector walks through all of them again for every few hundred new ones. With 32 connections that send the
pixels of an image as rows of `/v1`, this took more than half of a worker's processor time. So it pauses for
the one document that is read, too: lists of numbers are no garbage that it could find.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tfleet.worker.api.problems import RejectedError
from tfleet.worker.rejection import Rejection

LARGE_BYTES: Final = 64 * 1024
"""A smaller document is read in about a millisecond, and waits for no other."""


class LargeJson:
    """Gives the turns. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<LargeJson {'busy' if self._lock.locked() else 'idle'}>"

    @contextmanager
    def turn(self, size: int, deadline_s: float) -> Iterator[None]:
        """Read a document of so many bytes inside the block, which should leave none of its lists behind.

        Raises RejectedError if the turn comes after the deadline, by `time.perf_counter`.
        """
        if size < LARGE_BYTES:
            yield
            return
        with self._lock:
            if time.perf_counter() >= deadline_s:
                raise RejectedError(Rejection.DEADLINE)
            collects = gc.isenabled()
            gc.disable()
            try:
                yield
            finally:
                if collects:
                    gc.enable()
