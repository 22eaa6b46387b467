"""Handle the signals that ask a program to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_stop_signal(stop: Callable[[], None]) -> Iterator[list[signal.Signals]]:
    """Inside the block SIGINT, SIGTERM and SIGHUP (a closed terminal) call `stop` on the running loop.

    Yields the list of the signals that arrived, in their order. Under `nohup` SIGHUP stays ignored.
    """
    loop = asyncio.get_running_loop()
    came: list[signal.Signals] = []

    def arrived(number: signal.Signals) -> None:
        came.append(number)
        stop()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, arrived, number)
    try:
        yield came
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
