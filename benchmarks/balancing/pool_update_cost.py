"""Measures what an update of the worker pool costs the proxy, by the number of workers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.admin.workers import document, worker_rows
from tfleet.proxy.balancing.member import Probe
from tfleet.proxy.balancing.worker_table import WorkerTable

_NEW = Instance("new", Address("127.0.0.1", 1))
_READY = (Probe.READY, "")
_REFUSED = (Probe.UNREACHABLE, "refused")


def update_ms(fleets: dict[int, WorkerTable], rounds: int) -> dict[str, dict[int, float]]:
    """Milliseconds of each update, the best of `rounds`, by update and number of workers."""
    figures: dict[str, dict[int, float]] = {}
    for size, workers in fleets.items():
        for _ in range(rounds):
            for name, calls in _round(workers):
                best = figures.setdefault(name, {}).get(size, float("inf"))
                figures[name][size] = min(best, sum(map(_ms, calls)))
    return figures


def _round(workers: WorkerTable) -> list[tuple[str, list[Callable[[], object]]]]:
    """Each update, with its calls; after the last one the fleet is as before."""
    members = [member for member in workers.pool.members.values() if member.id != _NEW.id]
    listed, one = [member.instance for member in members], members[0]
    some = dict.fromkeys([member.id for member in members[:64]], _READY)
    return [
        ("a worker is ejected", [lambda: workers.record_failure(one, "refused")]),
        ("it is probed and comes back", [lambda: workers.record_probes({one.id: _READY})]),
        ("64 are probed", [lambda: workers.record_probes(some)]),
        ("a new worker is listed", [lambda: workers.apply_instances([*listed, _NEW])]),
        (
            "it leaves the list, is probed and dropped",
            [lambda: workers.apply_instances(listed), lambda: workers.record_probes({_NEW.id: _REFUSED})],
        ),
        ("the prober finds due workers", [workers.suspects, workers.probes_due, workers.next_probe_in_s]),
        ("`GET /workers`", [lambda: json.dumps(document(worker_rows(workers)))]),
    ]


def _ms(call: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    call()
    return (time.perf_counter() - began_s) * 1000
