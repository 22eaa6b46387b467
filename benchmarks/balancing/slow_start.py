"""Simulates the share of the load that a new worker gets in a busy fleet, second by second.

It runs the proxy's own worker table on a simulated clock. A worker answers one request at a time.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.member import Probe
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.settings import SLOW_START_S, Balance

WORKERS = 10
RATE_PER_S = 1600
ANSWER_S = 0.005
STEP_S = 1.0
LENGTH_S = 8.0
_JOINS_AT_S = 60.0
_NEW = "new"


@dataclass(frozen=True, slots=True)
class Step:
    """One second: the new worker's requests as a share of the others' mean, and its longest queue."""

    from_s: float
    share: float
    queue: int


class _Attempt:
    """An attempt that never times out."""

    worker_since_s: float | None = None

    def time_out_soon(self) -> None: ...


def simulate(balance: Balance, slow_start_s: float = SLOW_START_S) -> list[Step]:
    """A worker joins ten others that are busy four fifths of the time."""
    now_s = 0.0
    workers = WorkerTable(balance, slow_start_s=slow_start_s, clock=lambda: now_s, rng=random.Random(1))
    known = [Instance(f"w{number}", Address("h", 1)) for number in range(WORKERS)]
    workers.apply_instances(known)
    workers.record_probes({instance.id: (Probe.READY, "") for instance in known})
    in_flight: list[tuple[float, int, str, _Attempt]] = []
    free_s: dict[str, float] = {}
    steps: list[Step] = []
    found, queue = Counter[str](), 0
    # Requests begin a second before, so that the queues have their usual length when the worker joins.
    begin_s = _JOINS_AT_S - 1.0
    for number in range(int((LENGTH_S + 1.0) * RATE_PER_S)):
        now_s = begin_s + number / RATE_PER_S
        if now_s >= _JOINS_AT_S and _NEW not in workers.pool.members:
            workers.apply_instances([*known, Instance(_NEW, Address("h", 1))])
            workers.record_probes({_NEW: (Probe.READY, "")})
            found.clear()
        if now_s >= _JOINS_AT_S + (len(steps) + 1) * STEP_S:
            others = (found.total() - found[_NEW]) / WORKERS
            steps.append(Step(len(steps) * STEP_S, found[_NEW] / others, queue))
            found, queue = Counter(), 0
        while in_flight and in_flight[0][0] <= now_s:
            workers.attempt_ended(*heapq.heappop(in_flight)[2:])
        member = workers.pick()
        assert member is not None
        found[member.id] += 1
        free_s[member.id] = max(now_s, free_s.get(member.id, 0.0)) + ANSWER_S
        one = _Attempt()
        workers.attempt_started(member.id, one)
        heapq.heappush(in_flight, (free_s[member.id], number, member.id, one))
        queue = max(queue, workers.in_flight(_NEW))
    return steps
