"""The watcher with real processes that stand in for workers; see tests/support/watched_repository.py."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.deploy.recorded_terminal import RecordedTerminal
from tests.support.waiting import eventually
from tests.support.watched_repository import RULES, Plans, exchange, watched
from tfleet.deploy.local.repository.source import ConfigSource, FolderSource
from tfleet.deploy.local.repository.values import Poll

pytestmark = pytest.mark.process


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


async def test_models_start_one_after_the_other_without_a_poll(
    tmp_path: Path, recorded: RecordedTerminal
) -> None:
    times_s = itertools.chain([0.0, 0.0], itertools.repeat(60.0))  # two polls, and then none
    rules = replace(RULES, workers=1, most_starting=1, poll_s=60, look_s=0.01, clock=lambda: next(times_s))
    for model in ("cats", "dogs", "mice"):
        (tmp_path / model / "1").mkdir(parents=True)
        (tmp_path / model / "1" / "graph.pb").write_text("good")
    async with watched(tmp_path, recorded, rules=rules) as repository:
        # Those that wait for their turn are loading, too.
        await eventually(repository.plans.loading, wanted=lambda found: found[-2:] == ["dogs/1", "mice/1"])
        await repository.until_serving({"cats/1": 1, "dogs/1": 1, "mice/1": 1})
    said = recorded.getvalue()
    assert said.index("cats/1 is ready") < said.index("dogs/1 is complete: starting")


async def test_a_version_that_never_gets_ready_changes_nothing(
    tmp_path: Path, recorded: RecordedTerminal
) -> None:
    async with watched(tmp_path, recorded) as repository:
        repository.write("cats/1")
        await repository.until(v1=2)
        repository.write("cats/2", "loading")
        await recorded.until("cats/2-3 started")
        await eventually(repository.plans.loading, wanted=lambda found: found == ["cats/2"])
        repository.write("cats/3")
        await repository.until(v3=2)
        await eventually(repository.plans.loading, wanted=lambda found: found == [])
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
