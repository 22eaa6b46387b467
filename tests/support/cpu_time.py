"""What work costs of the CPU's time, measured so that a busy machine makes no difference.

The least of several tries counts. Nothing is searched for garbage meanwhile: in a process with many
tests behind it that takes half a second, whatever is measured.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def cpu_seconds(work: Callable[[], object], *, tries: int = 2) -> float:
    """What a call costs, in seconds."""
    with _without_collector():
        return min(_once(work) for _ in range(tries))


def cost_ratio(work: Callable[[], object], beside: Callable[[], object], *, tries: int = 5) -> float:
    """What a call of `work` costs, as a multiple of a call of `beside`. They are tried in turns."""
    with _without_collector():
        pairs = [(_once(work), _once(beside)) for _ in range(tries)]
    return min(own for own, _ in pairs) / min(other for _, other in pairs)


def _once(work: Callable[[], object]) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
