"""`tfleet up --models`: a folder of models and versions that changes while the fleet serves it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.consul_agent import consul_agent
from tests.support.pictures import picture
from tests.support.slow_copy import copied_too_early
from tests.support.steady_load import SteadyLoad
from tests.support.tfleet_up import ROOT, Up, up
from tests.support.waiting import eventually, eventually_sync

RATE = 50.0
_START_S = 60.0


@pytest.fixture(scope="module")
def models(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `colours/1`."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(model, folder / "colours" / "1")
    return folder


@pytest.fixture(scope="module")
def fleet(models: Path) -> Iterator[Up]:
    with up(workers=1, models=models) as running:
        yield running


def next_version(models: Path) -> Path:
    """The folder of a version of `colours` that is not there yet."""
    return models / "colours" / str(1 + max(int(each.name) for each in (models / "colours").iterdir()))


def served(fleet: Up) -> list[str]:
    """What is served, by the proxy's table."""
    return [f"{row['model']}/{row['version']}" for row in fleet.workers() if row["state"] == "ready"]


def the_only(fleet: Up) -> dict[str, Any]:
    """The row of the only worker, once it is the only one that is ready."""

    def ready() -> list[dict[str, Any]]:
        return [row for row in fleet.workers() if row["state"] == "ready"]

    (row,) = eventually_sync(ready, wanted=lambda rows: len(rows) == 1, timeout_s=_START_S)
    return row


def served_by(fleet: Up, name: str) -> None:
    eventually_sync(lambda: served(fleet), wanted=lambda found: found == [name], timeout_s=_START_S)


def answering(fleet: Up) -> str:
    """The model that answers one request."""
    answer = requests.post(fleet.url, data=picture("red"), timeout=10)
    assert answer.status_code == 200
    return answer.headers["X-Model"]


def status_of(url: str) -> int:
    return requests.get(url, timeout=10).status_code


async def test_a_new_version_takes_over_and_no_request_fails(fleet: Up, models: Path, model: Path) -> None:
    new = next_version(models)
    name = f"colours/{new.name}"
    async with SteadyLoad(fleet.url, rate=RATE) as load:
        await load.sent(50)

        def taken() -> bool:
            return f"{name} is complete" in fleet.said

        assert not await asyncio.to_thread(copied_too_early, model, new, taken), "before it was whole"

        async def left() -> list[str]:
            return await asyncio.to_thread(served, fleet)

        await eventually(left, wanted=lambda found: found == [name], timeout_s=_START_S)
        await load.sent(load.tally.sent + 50)
    assert load.tally.faultless, load.tally
    assert {answering(fleet) for _ in range(10)} == {name}
    assert f"{name} can't be used" not in fleet.said


def test_a_broken_version_changes_nothing_until_it_is_fixed(fleet: Up, models: Path, model: Path) -> None:
    before = "{model}/{version}".format(**the_only(fleet))
    new = next_version(models)
    new.mkdir()
    (new / "graph.pb").write_bytes((model / "graph.pb").read_bytes()[:100])
    eventually_sync(lambda: f"colours/{new.name} can't be used: {new}/graph.pb: is cut off" in fleet.said)
    assert f"{before} serves on; it is tried again when its files change" in fleet.said
    assert answering(fleet) == before
    refused = f"colours/{new.name} can't be used: {new}/graph.pb: is cut off"
    eventually_sync(lambda: refused in fleet.tfleet("status"))
    shutil.copytree(model, new, dirs_exist_ok=True)
    served_by(fleet, f"colours/{new.name}")
    assert answering(fleet) == f"colours/{new.name}"
    eventually_sync(lambda: "can't be used" not in fleet.tfleet("status"))


def test_a_killed_worker_of_a_watched_model_comes_back(fleet: Up) -> None:
    before = the_only(fleet)
    # Others may still be draining.
    (pid,) = eventually_sync(lambda: fleet.pids("worker"), wanted=lambda pids: len(pids) == 1)
    os.kill(pid, signal.SIGKILL)
    name = f"{before['model']}/{before['version']}"
    again = rf"{name}-\d+ ended \(SIGKILL\): starting it again"
    eventually_sync(lambda: re.search(again, fleet.said))
    # Nobody has asked the one that was killed, so it may count as ready for a while.
    ids = {before["id"]}
    eventually_sync(
        lambda: {row["id"] for row in fleet.workers() if row["state"] == "ready"} - ids, timeout_s=_START_S
    )
    eventually_sync(lambda: requests.post(fleet.url, data=picture("red"), timeout=10).ok)
    assert answering(fleet) == name


def test_another_model_comes_and_goes(fleet: Up, models: Path) -> None:
    before = "{model}/{version}".format(**the_only(fleet))
    shutil.copytree(ROOT / "worker" / "models" / "iris", models / "iris")
    row = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    found = [404]
    while found[-1] in {404, 503}:
        answer = requests.post(f"{fleet.url}/models/iris/predict", json=row, timeout=10)
        if answer.status_code == 503:
            assert "is loading" in answer.json()["detail"]
            assert int(answer.headers["Retry-After"]) == 1
            # It can't say which of both it is for, although one only is ready.
            assert requests.post(fleet.url, data=picture("red"), timeout=10).status_code == 400
        if answer.status_code != found[-1]:
            found.append(answer.status_code)
    assert found == [404, 503, 200]
    wanted = sorted([before, "iris/1"])
    eventually_sync(lambda: sorted(served(fleet)), wanted=lambda found: found == wanted, timeout_s=_START_S)
    shutil.rmtree(models / "iris")
    served_by(fleet, before)
    assert "iris/1 drains: its folder has gone" in fleet.said


async def test_two_workers_of_each_version_share_a_consul(model: Path, tmp_path: Path) -> None:
    """The new version takes over when both of its workers are ready. What can't be used is in Consul."""
    models = tmp_path / "models"
    shutil.copytree(model, models / "colours" / "1")
    with contextlib.ExitStack() as stack:
        consul = await asyncio.to_thread(stack.enter_context, consul_agent())
        options = ("--registry", f"consul://{consul.address}", "--workers-per-model", "2")
        running = up(*options, workers=2, models=models)
        fleet = await asyncio.to_thread(stack.enter_context, running)
        async with SteadyLoad(fleet.url, rate=RATE) as load:
            shutil.copytree(model, models / "colours" / "2")
            (models / "colours" / "3").mkdir()
            (models / "colours" / "3" / "graph.pb").write_bytes(b"no graph")

            async def ready() -> list[str]:
                return await asyncio.to_thread(served, fleet)

            await eventually(ready, wanted=lambda found: found == ["colours/2"] * 2, timeout_s=_START_S)
            await load.sent(load.tally.sent + 50)
        assert load.tally.faultless, load.tally
        refused = f"{consul.address.url}/v1/kv/tfleet/tfleet/refused/colours/3"
        assert await asyncio.to_thread(status_of, refused) == 200
        assert fleet.said.count("colours/1 drains: colours/2 has taken over") == 1
        assert await asyncio.to_thread(fleet.stop) == 0
        assert await asyncio.to_thread(status_of, refused) == 404, "nobody says it any more"
