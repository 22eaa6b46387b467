"""What a worker has to do, from its own metrics. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_BUSY: Final = "tfleet_worker_busy_seconds_total"
_QUEUES: Final = ("tfleet_worker_queue_requests", "tfleet_worker_waiting")
_SAMPLE: Final = re.compile(r"^(\w+) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Counted:
    """One look at a worker: for how long it has been busy in its life, how many requests wait in it."""

    busy_s: float
    queue: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """`busy` is the share of the time, 0 to 1, in which it had at least one image to work on; `queue` is how
    many waited at the end of it.
    """

    busy: float
    queue: int


def read_counted(page: str, at_s: float) -> Counted | None:
    """From the page of metrics; None where it does not say it, as an older worker's."""
    samples = dict(_SAMPLE.findall(page))
    try:
        busy_s = float(samples[_BUSY])
        queue = sum(int(float(samples[name])) for name in _QUEUES)
    except (KeyError, ValueError, OverflowError):
        return None
    return Counted(busy_s, queue, at_s)


def load_between(before: Counted | None, now: Counted | None) -> Load | None:
    """From two looks at one worker; None where there are no two of them."""
    if before is None or now is None or now.at_s <= before.at_s:
        return None
    share = (now.busy_s - before.busy_s) / (now.at_s - before.at_s)
    return Load(min(1.0, max(0.0, share)), now.queue)
