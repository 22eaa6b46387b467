"""What a worker says of its queue, in X-Queue-Length of each answer.

A worker may have more to do than this proxy knows of: other proxies and p2p clients send it requests, too.
A report is the worker's word for a moment. It is forgotten soon: a worker that was busy once, and is asked by
nobody for that reason, would else be taken for busy for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tfleet.contract.names import whole_number

_FORGOTTEN_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class QueueReport:
    """So many requests waited in the worker at that time, on the caller's monotonic clock."""

    length: int
    at_s: float

    def load(self, in_flight: int, now_s: float) -> int:
        """How much the worker has to do, when so many of the proxy's own requests are open with it."""
        if now_s - self.at_s >= _FORGOTTEN_AFTER_S:
            return in_flight
        return max(in_flight, self.length)


def read_report(text: str | None, now_s: float) -> QueueReport | None:
    """The report in the header; None where there is none, or one that is not a plain number."""
    length = None if text is None else whole_number(text)
    return None if length is None else QueueReport(length, now_s)
