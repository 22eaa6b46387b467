"""How much of the load a newcomer gets, second by second, as it comes to a fleet at work.

The fleet is the proxy's own, on a clock that the simulation sets. A worker answers one request at a time.
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
_COMES_AT_S = 60.0
_NEW = "newcomer"


@dataclass(frozen=True, slots=True)
class Step:
    """A second: what the newcomer got against the mean of the others, and the most that it had in flight."""

    from_s: float
    share: float
    queue: int


class _Attempt:
    """An attempt that never times out."""

    worker_since_s: float | None = None

    def time_out_soon(self) -> None: ...


def newcomer(balance: Balance, slow_start_s: float = SLOW_START_S) -> list[Step]:
    """A worker joins ten that have been busy for a while, four fifths of the time."""
    now_s = 0.0
    fleet = WorkerTable(balance, slow_start_s=slow_start_s, clock=lambda: now_s, rng=random.Random(1))
    known = [Instance(f"w{number}", Address("h", 1)) for number in range(WORKERS)]
    fleet.apply_instances(known)
    fleet.record_probes({instance.id: (Probe.READY, "") for instance in known})
    in_flight: list[tuple[float, int, str, _Attempt]] = []
    free_s: dict[str, float] = {}
    steps: list[Step] = []
    found, queue = Counter[str](), 0
    begin_s = (
        _COMES_AT_S - 1.0
    )  # of the requests: the queues are as long as they will be when the newcomer comes
    for number in range(int((LENGTH_S + 1.0) * RATE_PER_S)):
        now_s = begin_s + number / RATE_PER_S
        if now_s >= _COMES_AT_S and _NEW not in fleet.pool.members:
            fleet.apply_instances([*known, Instance(_NEW, Address("h", 1))])
            fleet.record_probes({_NEW: (Probe.READY, "")})
            found.clear()
        if now_s >= _COMES_AT_S + (len(steps) + 1) * STEP_S:
            others = (found.total() - found[_NEW]) / WORKERS
            steps.append(Step(len(steps) * STEP_S, found[_NEW] / others, queue))
            found, queue = Counter(), 0
        while in_flight and in_flight[0][0] <= now_s:
            fleet.attempt_ended(*heapq.heappop(in_flight)[2:])
        member = fleet.pick()
        assert member is not None
        found[member.id] += 1
        free_s[member.id] = max(now_s, free_s.get(member.id, 0.0)) + ANSWER_S
        one = _Attempt()
        fleet.attempt_started(member.id, one)
        heapq.heappush(in_flight, (free_s[member.id], number, member.id, one))
        queue = max(queue, fleet.in_flight(_NEW))
    return steps
