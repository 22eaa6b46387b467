"""The watcher with real processes that stand in for workers, as quick to start as Python.

A stand-in does what its version's graph.pb says: `good`, `refused` (exit code 2), `crashing`, or `loading`
for ever. It is ready as soon as it listens.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.deploy.recorded_terminal import RecordedTerminal
from tests.support.waiting import eventually
from tfleet.deploy.local.readiness import ReadyWorker
from tfleet.deploy.local.repository.source import ConfigSource, FolderSource, ModelSource
from tfleet.deploy.local.repository.values import Poll, Release
from tfleet.deploy.local.repository.watcher import RepositoryWatcher, WatchRules
from tfleet.deploy.local.terminal import Console, ProcessMessages
from tfleet.runtime.backoff import Backoff, RestartPolicy
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.listening_ports import listening_ports
from tfleet.runtime.supervised_process import SupervisedProcess

pytestmark = pytest.mark.process

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
_QUICKLY = RestartPolicy(Backoff(first_s=0.01, cap_s=0.02))


class Plans:
    """The versions that plans name."""

    def __init__(self, known: bool = True, **versions: str) -> None:
        self.known = known
        self.versions = versions
        self.assigned: dict[str, tuple[Mapping[str, str], Collection[str]]] = {}
        self.refused: Mapping[tuple[str, str], str] = {}

    def of(self, model: str) -> Collection[str]:
        return self.versions.get(model, "").split()

    async def assign(self, model: str, labels: Mapping[str, str], served: Collection[str]) -> str:
        self.assigned[model] = labels, served
        return f"{model} is not allowed" if "refused" in labels else ""

    async def show_refused(self, refused: Mapping[tuple[str, str], str]) -> str:
        self.refused = refused
        return ""

    async def shown(self) -> Mapping[tuple[str, str], str]:
        """The versions that the registry shows as refused."""
        return self.refused

    async def labels_of_cats(self) -> tuple[Mapping[str, str], list[str]]:
        """The last labels to assign, and the versions that were ready."""
        labels, served = self.assigned["cats"]
        return labels, sorted(served)


class Repository:
    """A folder of models that a watcher watches."""

    def __init__(self, source: ModelSource, terminal: RecordedTerminal, plans: Plans) -> None:
        self.folder = source.path
        self.terminal = terminal
        self.plans = plans
        self.stop = asyncio.Event()
        self._console = Console(out=terminal, err=terminal)
        self.watcher = RepositoryWatcher(
            source,
            WatchRules(workers=2, most_starting=4, stop_timeout_s=20, poll_s=0.05),
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
    folder: Path, terminal: RecordedTerminal, plans: Plans | None = None, source: ModelSource | None = None
) -> AsyncIterator[Repository]:
    repository = Repository(source or FolderSource(folder), terminal, plans or Plans())
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


async def test_a_new_version_takes_over_and_the_old_one_drains(
    tmp_path: Path, recorded: RecordedTerminal
) -> None:
    async with watched(tmp_path, recorded) as repository:
        await recorded.until(f"{tmp_path} has no complete version of a model yet")
        repository.write("cats/1")
        await repository.until(v1=2)
        assert (await repository.watcher.first_ready).model == "cats"
        repository.write("cats/2")
        await repository.until(v2=2)
        await recorded.until("drained", times=2)
    said = recorded.getvalue()
    lines = ["cats/1 is complete: starting 2 workers", "cats/1 is ready: 2 workers"]
    lines += ["cats/2 is ready: 2 workers", "cats/1 drains: cats/2 has taken over"]
    assert [said.count(line) for line in lines] == [1] * 4
    assert said.index(lines[2]) < said.index(lines[3]) < said.index("drained")


async def test_a_version_that_never_gets_ready_changes_nothing(
    tmp_path: Path, recorded: RecordedTerminal
) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        repository.write("cats/2", "loading")
        await recorded.until("cats/2-3 started")
        repository.write("cats/3")
        await repository.until(v3=2)
    assert "cats/2 drains: cats/3 has taken over" in recorded.getvalue()


@pytest.mark.parametrize(
    ("does", "reason"),
    [("refused", "no model here"), ("crashing", "a worker ended 3 times before it was ready, see above")],
)
async def test_a_broken_version_is_tried_again_when_it_changes(
    tmp_path: Path, recorded: RecordedTerminal, does: str, reason: str
) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        repository.write("cats/2", does)
        await recorded.until(
            f"cats/2 can't be used: {reason}; cats/1 serves on; it is tried again when its files change"
        )
        assert await repository.serving() == {"cats/1": 2}
        await eventually(repository.plans.shown, wanted=lambda shown: shown == {("cats", "2"): reason})
        repository.write("cats/2")
        await repository.until(v2=2)
        assert await repository.plans.shown() == {}
    assert recorded.getvalue().count("can't be used:") == 1


async def test_a_version_that_can_t_be_read_is_shown(tmp_path: Path, recorded: RecordedTerminal) -> None:
    line = f"{tmp_path}/cats/2: cannot be read: Permission denied"

    class Source(FolderSource):
        def poll(self) -> Poll:
            found = super().poll()
            cats = replace(found.models["cats"], unreadable={"2": line})
            return replace(found, models={"cats": cats}, problems=(line,))

    (tmp_path / "cats").mkdir()
    async with watched(tmp_path, recorded, source=Source(tmp_path)) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        await eventually(repository.plans.shown, wanted=lambda shown: shown == {("cats", "2"): line})
    assert recorded.getvalue().count(line) == 1


async def test_at_the_start_a_broken_version_lets_the_one_below_serve(
    tmp_path: Path, recorded: RecordedTerminal
) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        repository.write("cats/2", "refused")
        await repository.until(v1=2)


async def test_the_only_version_is_tried_on_and_on(tmp_path: Path, recorded: RecordedTerminal) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1", "crashing")
        await recorded.until("ended (exit code 7)", times=12)
    assert "can't be used" not in recorded.getvalue()


async def test_changed_files_are_served_by_new_workers(tmp_path: Path, recorded: RecordedTerminal) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        (tmp_path / "cats" / "1" / "labels.txt").write_text("tabby")
        await recorded.until("cats/1 drains: its new files have taken over")
        await repository.until(v1=2)
    assert recorded.getvalue().count("starting 2 workers") == 2


async def test_a_killed_worker_is_started_again(tmp_path: Path, recorded: RecordedTerminal) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        os.kill(recorded.pids()[0], signal.SIGKILL)
        await recorded.until("ended (SIGKILL)")
        await repository.until(v1=2)


async def test_a_worker_that_fails_later_leaves_the_others_serving(
    tmp_path: Path, recorded: RecordedTerminal
) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        await recorded.until("cats/1 is ready")
        repository.write("cats/1", "refused")
        await recorded.until("cats/1 can't be used: no model here; cats/1 serves on")
        os.kill(recorded.pids()[0], signal.SIGKILL)
        await recorded.until("cats/1: a worker can't be started again, 1 worker left: no model here")
        await repository.until(v1=1)


async def test_a_removed_version_gives_way_to_the_one_below(
    tmp_path: Path, recorded: RecordedTerminal
) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        repository.write("cats/2")
        await repository.until(v2=2)
        shutil.rmtree(tmp_path / "cats" / "2")
        await repository.until(v1=2)


async def test_the_last_version_serves_until_its_model_has_gone(
    tmp_path: Path, recorded: RecordedTerminal
) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        repository.write("dogs/1")
        await repository.until_serving({"cats/1": 2, "dogs/1": 2})
        shutil.rmtree(tmp_path / "cats" / "1")
        repository.write("dogs/2")
        await repository.until_serving({"cats/1": 2, "dogs/2": 2})
        (tmp_path / "cats").rmdir()
        await repository.until_serving({"dogs/2": 2})
    assert "cats/1 drains: its folder has gone" in recorded.getvalue()


async def test_a_repository_that_is_gone_changes_nothing(tmp_path: Path, recorded: RecordedTerminal) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    async with watched(folder, recorded) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        folder.rename(tmp_path / "elsewhere")
        await recorded.until(f"{folder}: cannot be read: No such file or directory")
        (tmp_path / "elsewhere").rename(folder)
        repository.write("cats/2")
        await repository.until(v2=2)
    assert recorded.getvalue().count("cannot be read") == 1
    assert "its folder has gone" not in recorded.getvalue()


async def test_an_unmounted_repository_changes_nothing(tmp_path: Path, recorded: RecordedTerminal) -> None:
    folder, empty = tmp_path / "models", tmp_path / "empty"
    for link in (folder, empty):
        (tmp_path / f"{link.name}-1").mkdir()
        link.symlink_to(tmp_path / f"{link.name}-1")
    async with watched(folder, recorded) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        exchange(empty, folder)
        await recorded.until(f"{folder} is empty, and another folder than before (is it unmounted?)")
        exchange(empty, folder)
        repository.write("cats/2")
        await repository.until(v2=2)
    assert "its folder has gone" not in recorded.getvalue()


async def test_a_version_that_the_plan_names_stays(tmp_path: Path, recorded: RecordedTerminal) -> None:
    plans = Plans(cats="1")
    async with watched(tmp_path, recorded, plans) as repository:
        for version in ("1", "2", "3"):
            repository.write(f"cats/{version}")
        await repository.until(v1=2, v3=2)
        await recorded.until("cats/3 gets no requests yet that name no version: cats has a plan")
        plans.versions = {"cats": "3 2"}
        await repository.until(v2=2, v3=2)


async def test_nothing_drains_before_the_plans_are_known(tmp_path: Path, recorded: RecordedTerminal) -> None:
    plans = Plans(known=False)
    async with watched(tmp_path, recorded, plans) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        repository.write("cats/2")
        await recorded.until("cats/1 stays: its model's plan has not been read from the registry yet")
        await repository.until(v1=2, v2=2)
        plans.known = True
        await repository.until(v2=2)
    assert recorded.getvalue().count("cats/1 stays") == 1


async def test_a_models_config_says_which_versions_run(tmp_path: Path, recorded: RecordedTerminal) -> None:
    config, plans = tmp_path / "models.config", Plans()

    def write(policy: str, label: str) -> None:
        labels = f'version_labels {{ key: "{label}" value: 1 }}'
        config.write_text(
            f'model_config_list {{ config {{ name: "cats" base_path: "cats" {labels} '
            f"model_version_policy {{ {policy} }} }} }}"
        )

    write("specific { versions: [1, 2] }", "prod")
    async with watched(tmp_path, recorded, plans, ConfigSource(config)) as repository:
        for version in ("1", "2", "3"):
            repository.write(f"cats/{version}")
        await repository.until(v1=2, v2=2)
        await recorded.until("is ready: 2 workers", times=2)
        write("latest { num_versions: 1 }", "refused")
        await repository.until(v3=2)
        config.write_text("model_config_list { config { ")
        await recorded.until(f"{config}: line 1: expected the name of a field or '}}', found the end")
        write("all { }", "prod")
        await repository.until(v1=2, v2=2, v3=2)
        await recorded.until("cats/1 is ready", times=2)
        await eventually(plans.labels_of_cats, wanted=lambda found: found == ({"prod": "1"}, ["1", "2", "3"]))
    assert recorded.getvalue().count("cats is not allowed") == 1
