"""Gives memory that was freed back to the system.

The C library keeps it: blocks of up to 32 MiB, such as the body of an upload, come from its heaps. It makes
a heap for each thread, and can't be told to give back the free end of any but the first. After a few dozen
large uploads that is hundreds of megabytes. So a worker has one heap, which it gives back when it is calm.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

LARGE_BYTES: Final = 1024 * 1024
_CALM_S: Final = 2.0
_M_ARENA_MAX: Final = -8  # mallopt(3)


def use_one_heap() -> None:
    """Have all threads share one heap. To be called before there are any: a heap that is there stays."""
    with suppress(AttributeError, OSError):  # glibc has it, others need not
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Give back all that is free. It takes milliseconds, and nobody else may allocate meanwhile."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


class MemoryTrimmer:
    """Calls `give_back` when no large body has come for a while, once for all that came before."""

    def __init__(self, give_back: Callable[[], None] = trim, calm_s: float = _CALM_S) -> None:
        self._give_back = give_back
        self._calm_s = calm_s
        self._lock = threading.Lock()
        self._last_s = 0.0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def __repr__(self) -> str:
        return f"<MemoryTrimmer {'waits for calm' if self._thread else 'idle'}>"

    def note(self, size: int) -> None:
        """A body of so many bytes has come."""
        if size < LARGE_BYTES:
            return
        with self._lock:
            self._last_s = time.monotonic()
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._wait, name="memory", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait for nothing any more."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _wait(self) -> None:
        while True:
            with self._lock:
                left_s = self._last_s + self._calm_s - time.monotonic()
                if left_s <= 0 or self._stop.is_set():
                    self._thread = None
                    break
            self._stop.wait(left_s)
        self._give_back()
