"""Return freed memory to the system.

The C library keeps freed blocks of up to 32 MiB, such as upload bodies, in its heaps. By default it creates a
heap for each thread, and can trim only the first one: after a few dozen large uploads that is hundreds of
megabytes. So a worker uses a single heap, and trims it when no large upload has arrived for a while.
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
_QUIET_S: Final = 2.0
_M_ARENA_MAX: Final = -8  # mallopt(3)


def use_one_heap() -> None:
    """Let all threads share one heap. Call it before other threads start: existing heaps stay."""
    with suppress(AttributeError, OSError):  # only glibc has it
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Return all free memory. It takes milliseconds, in which no other thread can allocate."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


class MemoryTrimmer:
    """Calls `trim_memory` once when no large body has arrived for `quiet_s` seconds."""

    def __init__(self, trim_memory: Callable[[], None] = trim, quiet_s: float = _QUIET_S) -> None:
        self._trim_memory = trim_memory
        self._quiet_s = quiet_s
        self._lock = threading.Lock()
        self._last_s = 0.0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def __repr__(self) -> str:
        return f"<MemoryTrimmer {'waiting' if self._thread else 'idle'}>"

    def note(self, size: int) -> None:
        """Note that a body of `size` bytes has arrived."""
        if size < LARGE_BYTES:
            return
        with self._lock:
            self._last_s = time.monotonic()
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._wait, name="memory", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop waiting, and end the thread."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _wait(self) -> None:
        while True:
            with self._lock:
                left_s = self._last_s + self._quiet_s - time.monotonic()
                if left_s <= 0 or self._stop.is_set():
                    self._thread = None
                    break
            self._stop.wait(left_s)
        self._trim_memory()
