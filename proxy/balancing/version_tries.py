"""Tries by model and version: how many were answered, how many failed, and how many workers were lost.

A try is one attempt of a request at one worker. It fails if the worker is lost, silent or answers with 5xx,
whether another worker answers the request afterwards or not. The requests that a lost worker takes with it
are one failure. A worker that declines (429, 503) has not failed.

A worker is lost if it can't be reached and has not said that it drains. It counts once, at that moment: its
supervisor may start a new one within a second, which removes the entry of the old one from the registry. So
absence does not say that a worker was stopped: such a one leaves the registry, and then says that it drains.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.member import PoolMember, WorkerState
from tfleet.proxy.balancing.recent_versions import RecentVersions
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.telemetry.version_stats import MAX_VERSIONS, OTHERS

_DECLINED: Final = frozenset({429, 503})
_SERVER_ERROR: Final = 500
_OTHERS: Final = ModelVersion(*OTHERS)
_NONE: Final = (0, 0, 0)
_LOST: Final = 2
"""The place of the lost workers, after answered and failed tries."""
_MAX_LOST: Final = 1000
"""So many lost workers are known by their ids, so that one that comes and goes counts once."""


class Tries(NamedTuple):
    """How many tries were answered, and how many failed."""

    answered: int = 0
    failed: int = 0

    def since(self, before: Tries) -> Tries:
        """What came after `before`. Counts that were dropped meanwhile have begun anew."""
        if self.answered < before.answered or self.failed < before.failed:
            return self
        return Tries(self.answered - before.answered, self.failed - before.failed)


class VersionTries(Collector):
    """Counts of one proxy since its start, by version: those of all versions in use, and of some others.

    `in_use` says which versions have workers.
    """

    def __init__(
        self,
        left: RecentVersions | None = None,
        in_use: Callable[[], Collection[ModelVersion]] = tuple,
    ) -> None:
        self.left = left or RecentVersions(time.monotonic)
        """The versions whose workers have left."""
        self._in_use = in_use
        self._counts: dict[ModelVersion, list[int]] = {}
        self._lost_ids: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<VersionTries versions={len(self._counts)}>"

    def answered(self, instance: Instance, status: int) -> None:
        """A worker answered with this status."""
        if status not in _DECLINED:
            self._of(instance)[status >= _SERVER_ERROR] += 1

    def failed(self, instance: Instance) -> None:
        """A worker gave no answer."""
        self._of(instance)[1] += 1

    def unreachable(self, worker_id: str, members: Mapping[str, PoolMember]) -> None:
        """One of these workers can't be reached. They are as they were before that was known."""
        member = members.get(worker_id)
        if member is None or member.state is WorkerState.DRAINING or worker_id in self._lost_ids:
            return
        self._lost_ids[worker_id] = None
        if len(self._lost_ids) > _MAX_LOST:
            del self._lost_ids[next(iter(self._lost_ids))]
        self._of(member.instance)[_LOST] += 1

    def of(self, version: ModelVersion) -> Tries:
        """The counts of a version."""
        return Tries(*self._counts.get(version, _NONE)[:_LOST])

    def lost(self, version: ModelVersion) -> int:
        """How many workers of a version were lost."""
        return self._counts.get(version, _NONE)[_LOST]

    def collect(self) -> Iterator[Metric]:
        tries = CounterMetricFamily(
            "tfleet_proxy_tries",
            "Tries of workers by model and version",
            labels=["model", "version", "result"],
        )
        shown: dict[ModelVersion, Tries] = {}
        for version in list(self._counts):
            name = version if len(shown) < MAX_VERSIONS else _OTHERS
            shown[name] = Tries(*map(sum, zip(shown.get(name, Tries()), self.of(version), strict=True)))
        for version, (answered, failed) in shown.items():
            tries.add_metric([*version, "answered"], answered)
            tries.add_metric([*version, "failed"], failed)
        yield tries

    def _of(self, instance: Instance) -> list[int]:
        """The counts of an instance's version."""
        version = ModelVersion(instance.model, instance.version)
        counts = self._counts.get(version)
        if counts is None:
            # Names come from the registry. A fleet that gets a new version each night must not fill up.
            if len(self._counts) >= MAX_VERSIONS:
                in_use = self._in_use()
                self._counts = {each: found for each, found in self._counts.items() if each in in_use}
            counts = self._counts[version] = list(_NONE)
        return counts
