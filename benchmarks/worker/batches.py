"""Runs batches repeatedly, by one caller or several, until the rate can be calculated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from benchmarks.report.figures import rate

_LEAST_BATCHES: Final = 6


def per_second(
    callers: Sequence[Iterator[int]], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Images a second of callers that run side by side. Each yields, after each of its batches, how many
    images that had. It takes longer than it is asked to where the batches would be too few.
    """
    began_s = clock()
    done_s: list[float] = []
    batches = 0
    counting = threading.Lock()
    over = threading.Event()

    def call(caller: Iterator[int]) -> None:
        nonlocal batches
        for images in caller:
            with counting:
                if over.is_set():  # a batch that ends later had the machine for itself
                    return
                now_s = clock()
                batches += 1
                done_s.extend([now_s] * images)
                if now_s - began_s >= seconds and batches >= _LEAST_BATCHES and rate(began_s, done_s):
                    over.set()
                    return

    threads = [threading.Thread(target=call, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rate(began_s, done_s)
