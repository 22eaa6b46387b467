"""End what waits in other threads when Ctrl-C is pressed: the main thread waits for them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop`, which must not wait, before the KeyboardInterrupt of Ctrl-C. For the main thread only."""

    def handle(_number: int, _frame: Any) -> None:
        stop()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
