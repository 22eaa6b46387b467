"""A watched repository with real processes that stand in for workers, as quick to start as Python.

A stand-in does what its version's graph.pb says: `good`, `refused` (exit code 2), `crashing`, or `loading`
for ever. It is ready as soon as it listens.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.deploy.recorded_terminal import RecordedTerminal
from tests.support.waiting import eventually
from tfleet.deploy.local.readiness import ReadyWorker
from tfleet.deploy.local.repository.source import FolderSource, ModelSource
from tfleet.deploy.local.repository.values import Release
from tfleet.deploy.local.repository.watcher import RepositoryWatcher, WatchRules
from tfleet.deploy.local.terminal import Console, ProcessMessages
from tfleet.discovery.reported_versions import Reports, VersionState
from tfleet.runtime.backoff import Backoff, RestartPolicy
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.listening_ports import listening_ports
from tfleet.runtime.supervised_process import SupervisedProcess

STAND_IN = """
import pathlib, signal, socket, sys
does = (pathlib.Path(sys.argv[1]) / "graph.pb").read_text()
if does == "refused":
    print("tfleet worker: no model here", file=sys.stderr)
    sys.exit(2)
if does == "crashing":
    sys.exit(7)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("drained", flush=True)))
if does == "good":
    server = socket.create_server(("127.0.0.1", 0))
signal.pause()
"""
RULES = WatchRules(workers=2, most_starting=4, stop_timeout_s=20, poll_s=0.05)
_QUICKLY = RestartPolicy(Backoff(first_s=0.01, cap_s=0.02))


class Plans:
    """The versions that plans name."""

    def __init__(self, known: bool = True, **versions: str) -> None:
        self.known = known
        self.versions = versions
        self.assigned: dict[str, tuple[Mapping[str, str], Collection[str]]] = {}
        self.reports: Reports = {}

    def of(self, model: str) -> Collection[str]:
        return self.versions.get(model, "").split()

    async def assign(self, model: str, labels: Mapping[str, str], served: Collection[str]) -> str:
        self.assigned[model] = labels, served
        return f"{model} is not allowed" if "refused" in labels else ""

    async def report(self, reports: Reports) -> str:
        self.reports = reports
        return ""

    async def shown(self) -> Mapping[tuple[str, str], str]:
        """The versions that the registry shows as refused."""
        return self.reports.get(VersionState.REFUSED, {})

    async def loading(self) -> list[str]:
        """The versions that the registry shows as loading."""
        return [f"{model}/{version}" for model, version in self.reports.get(VersionState.LOADING, {})]

    async def labels_of_cats(self) -> tuple[Mapping[str, str], list[str]]:
        """The last labels to assign, and the versions that were ready."""
        labels, served = self.assigned["cats"]
        return labels, sorted(served)


class Repository:
    """A folder of models that a watcher watches."""

    def __init__(
        self,
        source: ModelSource,
        terminal: RecordedTerminal,
        plans: Plans,
        rules: WatchRules,
    ) -> None:
        self.folder = source.path
        self.terminal = terminal
        self.plans = plans
        self.stop = asyncio.Event()
        self._console = Console(out=terminal, err=terminal)
        self.watcher = RepositoryWatcher(
            source,
            rules,
            plans,
            spawn=self._spawn,
            look=self._look,
            say=self._console.say,
        )
        self._of_process: dict[SupervisedProcess, Release] = {}

    def write(self, version: str, does: str = "good") -> None:
        folder = self.folder / version
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "graph.pb").write_text(does)

    async def serving(self) -> dict[str, int]:
        """How many workers of each release run and are ready."""
        return Counter(f"{each.model}/{each.version}" for each in await self._look())

    async def until(self, **wanted: int) -> None:
        """Wait until just these versions of `cats` are served, each by so many workers."""
        await self.until_serving(
            {f"cats/{version.removeprefix('v')}": number for version, number in wanted.items()}
        )

    async def until_serving(self, expected: dict[str, int]) -> None:
        """Wait until just these releases are served, each by so many workers."""
        await eventually(self.serving, wanted=lambda found: found == expected)

    def _spawn(self, release: Release, workers: int) -> SupervisedProcess:
        name = f"{release}-{len(self._of_process)}"
        spec = ChildSpec(name, (sys.executable, "-c", STAND_IN, str(release.path)))
        process = SupervisedProcess(spec, ProcessMessages(name, self._console), policy=_QUICKLY)
        self._of_process[process] = release
        return process

    async def _look(self) -> list[ReadyWorker]:
        running = [(process.pid, release) for process, release in self._of_process.items() if process.pid]
        ports = await asyncio.to_thread(lambda: [listening_ports(pid) for pid, _ in running])
        return [
            ReadyWorker(port, release.model, release.version, "table")
            for (_, release), of_process in zip(running, ports, strict=True)
            for port in of_process
        ]


def exchange(one: Path, other: Path) -> None:
    """Let two links to folders name each other's."""
    target, others = one.resolve(), other.resolve()
    for link, to in ((one, others), (other, target)):
        (new := link.with_name(f".{link.name}")).symlink_to(to)
        new.replace(link)


@asynccontextmanager
async def watched(
    folder: Path,
    terminal: RecordedTerminal,
    plans: Plans | None = None,
    source: ModelSource | None = None,
    rules: WatchRules = RULES,
) -> AsyncIterator[Repository]:
    repository = Repository(source or FolderSource(folder), terminal, plans or Plans(), rules)
    repository.folder = folder
    async with asyncio.TaskGroup() as group:
        group.create_task(repository.watcher.keep(repository.stop))
        try:
            yield repository
        finally:
            repository.stop.set()
            for process in tuple(repository.watcher.processes):
                group.create_task(process.stop(20))
    assert repository.watcher.processes == []
