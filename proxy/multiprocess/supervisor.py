"""Keeps all listeners of a proxy running, and adds up their metrics and workers.

Each second, and whenever a page asks, all of them report. So what was counted by a listener that is killed is
lost for the last second at most, and no counter that was ever shown falls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Final

from prometheus_client import Counter
from prometheus_client.metrics_core import Metric

from tfleet.contract.address import Address
from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.mirror_counts import MirrorCount, canaries_of, read_counts, without_ended
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.multiprocess.aggregate import counters_to_keep, merge, sum_up
from tfleet.proxy.multiprocess.child_process import ListenerProcess
from tfleet.proxy.multiprocess.messages import Message, Report, Start
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.server import background_tasks
from tfleet.proxy.telemetry.metrics import ProxyMetrics, exposition
from tfleet.runtime.child_process import UNUSABLE

_EVERY_S: Final = 1.0
_REPORT_TIMEOUT_S: Final = 0.5
"""How long a listener may take to report. If it takes longer, its last report counts."""


class ChildSupervisor:
    """The listeners, numbered from 1 to `count`."""

    def __init__(self, count: int, own: ProxyMetrics) -> None:
        """`own` is what the parent counts itself."""
        self.code = 0
        """The exit code of the program."""
        self._own = own
        self._restarts = Counter(
            "tfleet_proxy_listener_restarts",
            "Listeners that ended without having been told to, and were started again",
            registry=None,
        )
        own.include(self._restarts)
        self.stop_asked = asyncio.Event()
        """Set by `ask_to_stop`, and by a listener that can't be used."""
        self.first_ready = asyncio.Event()
        """Set as soon as every listener has had a ready worker."""
        self._settled = asyncio.Event()
        self.known: tuple[WorkerRow, ...] = ()
        """The workers in the last reports that had any: all listeners may have died at once."""
        self._gone: tuple[Metric, ...] = ()
        """The counters of listeners that have ended."""
        self._canaries: frozenset[ModelVersion] = frozenset()
        self._collecting = asyncio.Lock()
        self._rounds_begun = 0
        self._start_message: Callable[[int], Start]
        self._children = tuple(ListenerProcess(number, self) for number in range(1, count + 1))

    def __repr__(self) -> str:
        return f"<ChildSupervisor {self._children!r}>"

    @property
    def address(self) -> Address:
        """Where they listen. Only after `listening` returned True."""
        address = self._children[0].address
        assert address is not None
        return address

    @contextlib.asynccontextmanager
    async def running(self, start_message: Callable[[int], Start]) -> AsyncIterator[None]:
        """Keep them running inside the block; `start_message` makes the first message to a listener."""
        self._start_message = start_message
        async with background_tasks(self._run_all, self._report_for_ever):
            yield

    async def listening(self) -> bool:
        """Wait until all of them accept clients, or are to stop; False if they are to stop."""
        await self._settled.wait()
        return not self.stop_asked.is_set()

    def send(self, message: Message) -> None:
        """Send it to all of them."""
        for child in self._children:
            child.send(message)

    def use_plans(self, plans: Plans) -> None:
        """Forget what ended listeners have mirrored to versions that are canaries no more."""
        self._canaries = canaries_of(plans.models)
        self._gone = without_ended(self._gone, self._canaries)

    def ask_to_stop(self) -> None:
        """Start no listener again from now on."""
        for child in self._children:
            child.stay_down()
        self.stop_asked.set()
        self._settled.set()

    async def stop(self, timeout_s: float) -> None:
        """Let all of them finish their requests; kill those that take longer than `timeout_s`."""
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(child.stop(timeout_s))

    def kill(self) -> None:
        """Kill all of them."""
        for child in self._children:
            child.kill()

    # Called by a ChildProcess.

    def start_message(self, number: int) -> Start:
        return self._start_message(number)

    def changed(self, child: ListenerProcess) -> None:
        if child.failed:
            self.code = UNUSABLE
            self.ask_to_stop()
        if all(child.address for child in self._children):
            self._settled.set()
        if all(child.ready for child in self._children):
            self.first_ready.set()

    def child_ended(self, report: Report) -> None:
        kept = without_ended(counters_to_keep(report.families), self._canaries)
        self._gone = sum_up([self._gone, kept])
        if not self.stop_asked.is_set():
            self._restarts.inc()

    async def _run_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(child.run())

    async def _report_for_ever(self) -> None:
        while True:
            await self.collect_reports()
            await asyncio.sleep(_EVERY_S)

    async def collect_reports(self) -> None:
        """Get a report from all of them that is newer than this call."""
        wanted = self._rounds_begun + 1
        async with self._collecting:
            if self._rounds_begun >= wanted:
                return  # another caller began a round while this one waited, and it is over
            self._rounds_begun += 1
            for child in self._children:
                child.ask_report()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_TIMEOUT_S):
                    for child in self._children:
                        await child.fresh.wait()
            self.known = self.workers() or self.known

    def workers(self) -> tuple[WorkerRow, ...]:
        """Return all workers of the last reports."""
        return merge(child.report.workers for child in self._children)

    def left(self) -> frozenset[ModelVersion]:
        """Return the versions whose workers have left a moment ago, as any of the last reports says."""
        return frozenset(version for child in self._children for version in child.report.left)

    def exposition(self) -> bytes:
        """Return the metrics of the last reports, added up. It reads /proc."""
        return exposition(sum_up([self.reported(), self._own.families()]))

    def reported(self) -> tuple[Metric, ...]:
        """Return the metrics of the last reports, added up, without the parent's own."""
        return sum_up([self._gone, *(child.report.families for child in self._children)])

    @property
    def has_worker(self) -> bool:
        """Whether every listener that serves has a ready worker, and at least one serves."""
        said = {child.report.has_worker for child in self._children} - {None}
        return said == {True}


class AggregateStatus:
    """The ProxyStatus of all listeners together."""

    def __init__(self, supervisor: ChildSupervisor, readiness: Readiness) -> None:
        self._supervisor = supervisor
        self._readiness = readiness

    @property
    def name(self) -> str:
        return self._readiness.name

    async def missing(self) -> str | None:
        await self._supervisor.collect_reports()
        return self._readiness.why_not(has_worker=self._supervisor.has_worker)

    async def metrics(self) -> bytes:
        await self._supervisor.collect_reports()
        return await asyncio.to_thread(self._supervisor.exposition)

    async def workers(self) -> Sequence[WorkerRow]:
        await self._supervisor.collect_reports()
        return self._supervisor.workers()

    def mirrored(self) -> Mapping[ModelVersion, MirrorCount]:
        return read_counts(self._supervisor.reported())

    def left(self) -> Collection[ModelVersion]:
        return self._supervisor.left()
