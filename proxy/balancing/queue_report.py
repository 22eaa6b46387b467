"""A worker's own report of its queue length, from X-Queue-Length of each response.

A worker may have more to do than this proxy knows of: other proxies and p2p clients send it requests, too.
A report is valid for a second only. Otherwise a worker that once reported a long queue, and so gets no more
requests, could never report that it is idle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tfleet.contract.names import whole_number

_VALID_FOR_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class QueueReport:
    """How many requests were queued in the worker at `at_s`, on the caller's monotonic clock."""

    length: int
    at_s: float

    def load(self, in_flight: int, now_s: float) -> int:
        """The worker's load in requests, given how many this proxy has in flight there."""
        if now_s - self.at_s >= _VALID_FOR_S:
            return in_flight
        # The larger one and not the sum: the queue contains requests of this proxy as well.
        return max(in_flight, self.length)


def parse_report(text: str | None, now_s: float) -> QueueReport | None:
    """Parse the header; None if it is absent or not a whole number."""
    length = None if text is None else whole_number(text)
    return None if length is None else QueueReport(length, now_s)
