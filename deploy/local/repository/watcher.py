"""Watches a model repository, and starts and drains workers as it changes.

Each turn polls the repository, looks which workers are ready, decides (decision.py), and applies that. A turn
that can't read the repository changes nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Final, Protocol

from tfleet.deploy.local.readiness import ReadyWorker
from tfleet.deploy.local.repository import messages
from tfleet.deploy.local.repository.completeness import found_models, is_another_folder, lasting_problems
from tfleet.deploy.local.repository.decision import decide, wanted_releases
from tfleet.deploy.local.repository.source import ModelSource
from tfleet.deploy.local.repository.values import FoundModel, Poll, Release, RepositoryError
from tfleet.deploy.local.repository.worker_group import WorkerGroup
from tfleet.discovery.reported_versions import Reports, VersionState
from tfleet.runtime.listening_ports import listening_ports
from tfleet.runtime.supervised_process import SupervisedProcess

POLL_S: Final = 1.0
_GONE: Final = Release("", "", "", Path())
_LOADING: Final = "its workers are not ready yet"
_START_S: Final = 60.0
"""After so long a release that is still not ready no longer holds up the start of others."""
_SOON_S: Final = 3.0
"""A forked worker with a small model is ready within a fraction of a second, and lets others start."""
_PAUSE_SHARE: Final = 0.1
"""The longer a start takes, the more rarely the proxy is asked: news is late by a tenth at most."""
_LONGEST_PAUSE_S: Final = 10.0


class PlannedVersions(Protocol):
    """What the registry says of the models."""

    @property
    def known(self) -> bool:
        """Whether the plans have been read."""

    def of(self, model: str) -> Collection[str]:
        """The versions that the model's plan names."""

    async def assign(self, model: str, labels: Mapping[str, str], served: Collection[str]) -> str:
        """Write labels into the model's plan, of which the versions `served` are ready.

        What keeps them from it, in one line; empty if nothing does.
        """

    async def report(self, reports: Reports) -> str:
        """Show there which models and versions are loading or can't be used, each with its reason.

        What keeps from it, in one line; empty if nothing does.
        """


@dataclass(frozen=True, slots=True)
class WatchRules:
    """How many workers a release gets, how many releases start at once, and how long a stop may take.

    After each `poll_s` seconds the repository is looked at, and while releases start, the proxy after each
    `look_s` seconds.
    """

    workers: int
    most_starting: int
    stop_timeout_s: float
    poll_s: float = POLL_S
    look_s: float = POLL_S
    clock: Callable[[], float] = field(default=time.monotonic)


class RepositoryWatcher:
    """Owns the workers of a repository. `processes` are all of them, those that drain included.

    `spawn` makes a worker of a release, for a fleet with so many workers. `look` asks the proxy which workers
    are ready. `say` prints a line.
    """

    def __init__(
        self,
        source: ModelSource,
        rules: WatchRules,
        planned: PlannedVersions,
        *,
        spawn: Callable[[Release, int], SupervisedProcess],
        look: Callable[[], Awaitable[Sequence[ReadyWorker]]],
        say: Callable[[str], None],
    ) -> None:
        self.processes: list[SupervisedProcess] = []
        self.first_ready: asyncio.Future[ReadyWorker] = asyncio.get_running_loop().create_future()
        self._source = source
        self._rules = rules
        self._planned = planned
        self._spawn = spawn
        self._look = look
        self._say = say
        self._before: Poll | None = None
        self._found: Mapping[str, FoundModel] = {}
        self._groups: list[WorkerGroup] = []
        self._unusable: dict[Release, str] = {}
        self._said: set[str] = set()
        self._registry_problems: list[str] = []
        self._looked_s = -math.inf

    def __repr__(self) -> str:
        return f"<RepositoryWatcher {len(self._found)} models, {self._groups!r}>"

    async def keep(self, stop_asked: asyncio.Event) -> None:
        """Watch until `stop_asked` is set, and then until all workers have ended: others stop them."""
        poll_at_s = -math.inf
        async with asyncio.TaskGroup() as tasks:
            while not stop_asked.is_set():
                if self._rules.clock() >= poll_at_s:
                    await self._poll()
                    # From its end on: between two looks at a file that is copied there is at least this time.
                    poll_at_s = self._rules.clock() + self._rules.poll_s
                counted = await self._count_ready()
                if not stop_asked.is_set():
                    self._act(tasks, counted=counted)
                    await self._tell_registry()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s(poll_at_s)):
                        await stop_asked.wait()

    async def _poll(self) -> None:
        try:
            now = await asyncio.to_thread(self._source.poll)
        except RepositoryError as error:
            # What was said before is still so, as far as anybody knows.
            self._say_once([*self._said, str(error)])
            return
        if self._before is not None and is_another_folder(self._before, now):
            self._say_once([*self._said, messages.unmounted(self._source.path)])
            return
        before, self._before = self._before, now
        if before is None:
            return
        self._found = found_models(before, now)
        problems = lasting_problems(before, now)
        nothing = () if self._found else (messages.nothing_yet(self._source.path),)
        self._say_once([*problems, *nothing, *self._registry_problems])
        self._forget_unusable()

    def _forget_unusable(self) -> None:
        """Forget the releases whose files have changed or gone; while they change, nothing is known."""
        found = {
            (name, version): release
            for name, model in self._found.items()
            for version, release in model.versions.items()
        }
        self._unusable = {
            each: reason
            for each, reason in self._unusable.items()
            if found.get((each.model, each.version), _GONE) in {each, None}
        }

    def _say_once(self, lines: Sequence[str]) -> None:
        """Say what the last poll did not say."""
        for line in lines:
            if line not in self._said:
                self._say(line)
        self._said = set(lines)

    async def _count_ready(self) -> bool:
        """Ask the proxy which workers are ready, if a decision depends on it; whether it was asked."""
        live = [group for group in self._groups if not group.draining]
        wanted = {each for name in self._found for each in self._wanted(name)}
        if all(group.complete and group.release in wanted for group in live):
            return False  # nothing depends on it, and the proxy would log each look
        now_s = self._rules.clock()
        age_s = now_s - max(group.since_s for group in live)
        if now_s - self._looked_s < min(age_s * _PAUSE_SHARE, _LONGEST_PAUSE_S):
            return False
        self._looked_s = now_s
        ready = await self._look()
        pids = [process.pid for group in live for process in group.processes if process.pid]
        ports = await asyncio.to_thread(lambda: {pid: listening_ports(pid) for pid in pids})
        for group in live:
            self._count(group, ready, ports)
        return True

    def _count(
        self, group: WorkerGroup, ready: Sequence[ReadyWorker], ports: Mapping[int, Collection[int]]
    ) -> None:
        release = str(group.release)
        of_release = {each.port: each for each in ready if f"{each.model}/{each.version}" == release}
        found = [
            [of_release[port] for port in ports.get(process.pid or 0, ()) if port in of_release]
            for process in group.processes
        ]
        group.count_ready([len(each) for each in found])
        if group.ready and not self.first_ready.done():
            self.first_ready.set_result(next(worker for each in found for worker in each))
        if group.complete and not group.announced:
            group.announced = True
            self._say(messages.ready(group.release, len(group.processes)))
            planned = self._planned.of(group.release.model)
            if planned and group.release.version not in planned:
                self._say(messages.not_in_plan(group.release))

    def _pause_s(self, poll_at_s: float) -> float:
        """The pause before the next turn: a short one if workers that have just begun may be ready before the
        next poll.
        """
        now_s = self._rules.clock()
        starting = (each for each in self._groups if not (each.complete or each.draining))
        pause_s = max(0.0, poll_at_s - now_s)
        if any(now_s - each.since_s < _SOON_S for each in starting):
            return min(pause_s, self._rules.look_s)
        return pause_s

    def _live(self, model: str) -> list[WorkerGroup]:
        return [each for each in self._groups if each.release.model == model and not each.draining]

    def _wanted(self, model: str) -> tuple[Release, ...]:
        running = [each.release for each in self._live(model)]
        planned = self._planned.of(model)
        return wanted_releases(self._found[model], running, unusable=self._unusable, planned=planned)

    def _act(self, tasks: asyncio.TaskGroup, *, counted: bool) -> None:
        """Start and drain. Without a fresh count of those that are ready, nothing drains that serves."""
        self._groups = [each for each in self._groups if not (each.draining and each.ended)]
        models = {*self._found, *(group.release.model for group in self._groups)}
        starts = []
        for model in sorted(models):
            self._judge(model)
            actions = decide(
                self._found.get(model),
                [each.running for each in self._live(model)],
                unusable=self._unusable,
                planned=self._planned.of(model),
            )
            starts.append(actions.start)
            self._drain(model, actions.drain, tasks, counted=counted)
        # The most important release of each model first, then the second one of each.
        for release in (each for turn in zip_longest(*starts) for each in turn if each is not None):
            if not self._may_start():
                break
            self._start(release, tasks)

    def _judge(self, model: str) -> None:
        """Find out which releases of a model can't be used."""
        live = self._live(model)
        for group in live:
            others = [each.release for each in live if each is not group and not each.fault()]
            fault = group.fault()
            if not fault and (others or self._has_other(group.release)):
                # The only version is tried on and on instead, as any worker that crashes.
                fault = group.crash()
            if fault and group.release not in self._unusable:
                self._unusable[group.release] = fault
                self._say(messages.unusable(group.release, fault, others))
            elif not fault:
                self._report_lost(group)

    def _has_other(self, release: Release) -> bool:
        """Whether another version of its model may be used instead."""
        found = self._found.get(release.model)
        versions = found.versions.values() if found else ()
        return any(each not in {None, release} and each not in self._unusable for each in versions)

    def _report_lost(self, group: WorkerGroup) -> None:
        failed = [each for each in group.processes if each.failed]
        for process in failed[group.lost :]:
            left = len(group.processes) - len(failed)
            self._say(messages.worker_lost(group.release, process.final_reason, left))
        group.lost = len(failed)

    async def _tell_registry(self) -> None:
        lines = []
        for name, model in self._found.items():
            if model.labels:
                served = [group.release.version for group in self._live(name) if group.complete]
                lines.append(await self._planned.assign(name, model.labels, served))
        lines.append(await self._planned.report(self._reports()))
        self._registry_problems = [line for line in lines if line]

    def _reports(self) -> Reports:
        """The models and versions that are loading or can't be used, each with its reason."""
        unreadable = {
            (name, version): reason
            for name, model in self._found.items()
            for version, reason in model.unreadable.items()
        }
        unusable = {(each.model, each.version): reason for each, reason in self._unusable.items()}
        started = {group.release for group in self._groups if not (group.draining or group.loading)}
        wanted = [each for name in self._found for each in self._wanted(name) if each not in started]
        loading = {(each.model, each.version): _LOADING for each in wanted}
        return {VersionState.REFUSED: unreadable | unusable, VersionState.LOADING: loading}

    def _may_start(self) -> bool:
        """Whether another release may start now: each takes a CPU for seconds until it is ready."""
        now_s = self._rules.clock()
        starting = [
            each
            for each in self._groups
            if not (each.served or each.draining) and now_s - each.since_s < _START_S
        ]
        return len(starting) < self._rules.most_starting

    def _start(self, release: Release, tasks: asyncio.TaskGroup) -> None:
        workers = self._rules.workers
        total = workers * sum(len(self._wanted(model)) for model in self._found)
        processes = [self._spawn(release, total) for _ in range(workers)]
        self._groups.append(WorkerGroup(release, processes, self._rules.clock()))
        self._say(messages.starting(release, workers))
        for process in processes:
            self.processes.append(process)
            tasks.create_task(self._run(process))

    async def _run(self, process: SupervisedProcess) -> None:
        try:
            await process.run()
        finally:
            self.processes.remove(process)

    def _drain(
        self, model: str, releases: Collection[Release], tasks: asyncio.TaskGroup, *, counted: bool
    ) -> None:
        found = self._found.get(model)
        wanted = self._wanted(model) if found else ()
        for group in self._live(model):
            release = group.release
            if release not in releases:
                continue
            broken = release in self._unusable
            if not (broken or found is None or (counted and self._planned.known)):
                if counted and not group.held:
                    group.held = True
                    self._say(messages.waiting_for_plans(release))
                continue
            group.draining = True
            successor = next((each for each in wanted if each.version == release.version), None)
            successor = successor or next(iter(wanted), None)
            if not group.ended:
                self._say(messages.draining(release, successor, unusable=broken))
            for process in group.processes:
                tasks.create_task(process.stop(self._rules.stop_timeout_s))
