"""Outlier detection: when a failing worker is ejected, for how long, and how many may be out at once.

Envoy's outlier detection follows the same rules (consecutive errors, growing ejection time, a maximum share).
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import replace
from typing import Final

from tfleet.proxy.balancing.member import Ejection, PoolMember, WorkerState
from tfleet.runtime.backoff import Backoff

MAX_FAILED_BODIES: Final = 3
"""One or two request bodies may be the cause of failures themselves. With three, the worker is."""

MAX_ERRORS_IN_A_ROW: Final = 5
"""So many 5xx responses one after the other eject a worker, though it can be reached."""

_SERVER_ERROR: Final = 500
_EJECTION: Final = Backoff(first_s=1.0, cap_s=30.0)
_HEALTHY_AFTER_S: Final = 60.0


class FailureCount:
    """Counts, for each worker, the different request bodies that it failed on since its last response."""

    def __init__(self) -> None:
        self._bodies: dict[str, set[Hashable]] = {}

    def __repr__(self) -> str:
        return f"<FailureCount {len(self._bodies)} workers>"

    def add(self, worker_id: str, body: Hashable) -> bool:
        """Count the body; return whether the worker is to be ejected. The count then starts anew."""
        bodies = self._bodies.setdefault(worker_id, set())
        bodies.add(body)
        if len(bodies) < MAX_FAILED_BODIES:
            return False
        self.reset(worker_id)
        return True

    def reset(self, worker_id: str) -> None:
        """Forget the worker: it has answered, or was dropped."""
        self._bodies.pop(worker_id, None)


class ErrorCount:
    """Counts, for each worker, its 5xx responses since its last one of another kind."""

    def __init__(self) -> None:
        self._in_a_row: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<ErrorCount {len(self._in_a_row)} workers>"

    def add(self, worker_id: str, status: int) -> bool:
        """Count the response; return whether the worker is to be ejected. The count then starts anew."""
        if status < _SERVER_ERROR:
            self.reset(worker_id)
            return False
        self._in_a_row[worker_id] = self._in_a_row.get(worker_id, 0) + 1
        if self._in_a_row[worker_id] < MAX_ERRORS_IN_A_ROW:
            return False
        self.reset(worker_id)
        return True

    def reset(self, worker_id: str) -> None:
        """Forget the worker: it was dropped."""
        self._in_a_row.pop(worker_id, None)


def ejected(member: PoolMember, error: str, now_s: float, rng: random.Random) -> PoolMember:
    """The worker after its ejection: it gets no requests until a probe succeeds."""
    # Probes back off while the worker goes in and out of ejection, and start fresh after a healthy minute.
    was_healthy = member.state is WorkerState.READY and now_s - member.ready_at_s > _HEALTHY_AFTER_S
    failures = 1 if was_healthy else member.ejection.failures + 1
    return replace(
        member,
        state=WorkerState.EJECTED,
        ejection=Ejection(failures, late=member.ejection.late),
        last_error=error,
        probe_at_s=now_s + _EJECTION.delay_s(failures, rng),
    )


def max_ejected_for_errors(ejected_for_errors: int, routable: int) -> int:
    """How many reachable workers may be ejected for errors: half of those ejected for errors or routable."""
    return (ejected_for_errors + routable) // 2
