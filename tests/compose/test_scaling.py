"""`tfleet scale` and `tfleet autoscale`, for containers while requests come in."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.compose_project import Project
from tests.support.environment import users_environment
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import eventually_sync

_RATE = 20
_LOAD = 30
_TRICKLE = 1
_TARGET = 0.02
"""The small model keeps a worker busy for 3 to 6 ms an image: so the load is work for at least three workers,
and the trickle for less than one."""


def _arguments(fleet: Project, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tfleet", *arguments, "-p", fleet.name, "--proxy", fleet.url]


async def _scale(fleet: Project, *arguments: str) -> str:
    """What `tfleet scale` prints to standard output."""
    run = await asyncio.to_thread(
        subprocess.run,
        _arguments(fleet, "scale", *arguments),
        env=users_environment(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert run.returncode == 0, (run.stdout, run.stderr)
    return str(run.stdout)


def _at_work(fleet: Project) -> int:
    return sum(state == "ready" for state in fleet.states().values())


async def _at_work_are(fleet: Project, workers: int) -> None:
    await asyncio.to_thread(
        eventually_sync, lambda: _at_work(fleet), wanted=lambda found: found == workers, timeout_s=60
    )


async def test_a_fleet_is_scaled_to_3_and_to_1_and_nothing_is_lost(small_fleet: Project) -> None:
    await _scale(small_fleet, "1")
    async with SteadyLoad(small_fleet.url, rate=_RATE) as load:
        await load.sent(_RATE)
        assert await _scale(small_fleet, "3") == "3 workers are ready, 1 before\n"
        assert _at_work(small_fleet) == 3
        await _each_has(small_fleet, lambda row: row["weight"] == 1)  # after its slow start
        load.hold(9)
        await _each_has(small_fleet, lambda row: row["in_flight"] >= 2)
        shrinking = asyncio.create_task(_scale(small_fleet, "1", "--json"))
        await _at_work_are(small_fleet, 1)
        assert not shrinking.done(), "they have uploads to finish"
        load.let_go()
        said = json.loads(await shrinking)
        await load.sent(load.tally.sent + _RATE)
    assert load.tally.faultless, (load.tally, load.tally.failures[:5])
    assert load.held.faultless, (load.held, load.held.failures[:5])
    assert load.held.retries == 0, "what was begun was finished where it was begun"
    assert len(said["stopped"]) == 2
    assert said["failures"] == []
    assert len(small_fleet.containers("worker")) == 1


async def _each_has(fleet: Project, it: Callable[[dict[str, Any]], bool]) -> None:
    await asyncio.to_thread(eventually_sync, fleet.rows, wanted=lambda rows: all(map(it, rows)))


async def test_a_dry_run_changes_nothing(small_fleet: Project) -> None:
    before = [each.id for each in small_fleet.containers("worker")]
    said = await _scale(small_fleet, str(len(before) + 1), "--dry-run")
    assert said.startswith("would create number ")
    assert [each.id for each in small_fleet.containers("worker")] == before


@asynccontextmanager
async def _autoscaling(fleet: Project, output: Path, *options: str) -> AsyncIterator[None]:
    """`tfleet autoscale` inside the block; at its end it is told to stop."""
    with output.open("w") as stdout:
        process = await asyncio.create_subprocess_exec(
            *_arguments(fleet, "autoscale", "--json", *options), env=users_environment(), stdout=stdout
        )
        try:
            yield
        finally:
            process.terminate()
            began_s = time.monotonic()
            code = await process.wait()
            took_s = time.monotonic() - began_s
    assert (code, took_s < 5) == (0, True), took_s


async def test_workers_come_with_the_load_and_go_with_it(small_fleet: Project, tmp_path: Path) -> None:
    await _scale(small_fleet, "1")
    output = tmp_path / "decisions.jsonl"
    options = ["--min=1", "--max=3", "--interval=1", "--cooldown=2", "--stabilization=4"]
    async with SteadyLoad(small_fleet.url, rate=_TRICKLE) as trickle:
        async with _autoscaling(small_fleet, output, *options, f"--target-busy={_TARGET}"):
            async with SteadyLoad(small_fleet.url, rate=_LOAD) as load:
                await _at_work_are(small_fleet, 3)
            await asyncio.to_thread(
                eventually_sync,
                lambda: len(small_fleet.containers("worker")),
                wanted=lambda found: found == 1,
                timeout_s=60,
            )
            await asyncio.to_thread(eventually_sync, lambda: _wanted(output)[-1:] == [(1, 1)])
        await trickle.sent(trickle.tally.sent + _TRICKLE)
    assert load.tally.faultless, (load.tally, load.tally.failures[:5])
    assert trickle.tally.faultless, (trickle.tally, trickle.tally.failures[:5])
    said = output.read_text()
    changes = [(before, wanted) for before, wanted in _wanted(output) if before != wanted]
    (first, *fewer) = changes
    assert first == (1, 3), said
    assert fewer[0][0] == 3, said
    # By one or by two, as the last load was read.
    assert all(wanted < before for before, wanted in fewer), said
    assert fewer[-1][1] == 1, said
    (growth,) = (line for line in _lines(output, "decision") if line["workers"] < line["wanted"])
    assert growth["busy"] > _TARGET
    assert growth["because"] == f"because workers are busy more than {100 * _TARGET:g} % of the time"
    assert _lines(output, "failed") == [], said
    assert _lines(output, "stopped")[0]["draining"] == []


def _lines(output: Path, event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in output.read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def _wanted(output: Path) -> list[tuple[int, int]]:
    """How many there were and how many were wanted, at each decision."""
    return [(line["workers"], line["wanted"]) for line in _lines(output, "decision")]
