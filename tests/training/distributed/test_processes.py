"""The processes of a run end together. Small programs stand in for those that train."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tfleet.training.distributed.errors import StoppedError, TrainingFailedError
from tfleet.training.distributed.processes import run_ranks
from tfleet.training.distributed.rank_job import LOST_PEER, RankJob

pytestmark = pytest.mark.process

WAIT = "import json, os, sys, time\njob = json.loads(sys.argv[1])\nrank = job['rank']\n"


def jobs(folder: Path, count: int = 2) -> list[RankJob]:
    return [
        RankJob(
            argv=("train",),
            rank=rank,
            processes=count,
            coordinator="127.0.0.1:1",
            host="127.0.0.1",
            work=str(folder),
            seed=7,
            join_timeout_s=9,
        )
        for rank in range(count)
    ]


async def run(folder: Path, code: str, count: int = 2) -> list[str]:
    """The lines that are shown."""
    shown: list[str] = []
    await run_ranks(jobs(folder, count), os.environ, shown.append, (sys.executable, "-c", WAIT + code))
    return shown


async def test_the_first_ones_lines_are_shown(tmp_path: Path) -> None:
    names = "KERAS_BACKEND", "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID"
    code = f"print(*(os.environ[name] for name in {(*names, 'PYTHONHASHSEED')}), job['seed'])"
    assert await run(tmp_path, code) == ["jax 2 0 7 7"]


async def test_one_that_fails_ends_all(tmp_path: Path, gone: Callable[[int], bool]) -> None:
    code = (
        f"open(f'{tmp_path}/{{rank}}', 'w').write(str(os.getpid()))\n"
        f"while rank == 1 and not os.path.getsize('{tmp_path}/0'): time.sleep(0.01)\n"
        "if rank == 1: print('no space left'); sys.exit(3)\n"
        "time.sleep(60)"
    )
    (tmp_path / "0").touch()
    with pytest.raises(TrainingFailedError) as caught:
        await run(tmp_path, code)
    assert "process 1 of 2 (from 0) ended with exit code 3; nothing was exported" in str(caught.value)
    assert str(caught.value).endswith("\n  no space left")
    assert gone(int((tmp_path / "0").read_text()))


@pytest.mark.parametrize("consequence", [f"sys.exit({LOST_PEER})", "os.abort()"])
async def test_who_has_failed_is_named_not_who_lost_it(tmp_path: Path, consequence: str) -> None:
    code = f"if rank == 0: {consequence}\ntime.sleep(0.3)\nos.kill(os.getpid(), 9)"
    with pytest.raises(TrainingFailedError, match=r"process 1 of 2 .* ended with SIGKILL"):
        await run(tmp_path, code)


async def test_one_that_lost_another_machine_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailedError, match=r"process 0 of 1 .* has lost another one"):
        await run(tmp_path, f"sys.exit({LOST_PEER})", count=1)


async def test_who_waited_in_vain_says_so(tmp_path: Path) -> None:
    code = (
        "print('RPC: /xla.coordination.CoordinationService/RegisterTask', '    @  0x7f JAX', sep=chr(10))\n"
    )
    with pytest.raises(TrainingFailedError) as caught:
        await run(tmp_path, f"{code}sys.stdout.flush(); os.abort()", count=1)
    assert "waited in vain for the others: see --join-timeout" in str(caught.value)
    assert "0x7f" not in str(caught.value)


async def test_what_a_process_started_does_not_keep_it_alive(
    tmp_path: Path, gone: Callable[[int], bool]
) -> None:
    code = (
        "import subprocess\n"
        f"child = subprocess.Popen(['sleep', '60']); open('{tmp_path}/child', 'w').write(str(child.pid))\n"
        "sys.exit(4)"
    )
    with pytest.raises(TrainingFailedError, match="exit code 4"):
        await run(tmp_path, code, count=1)
    assert gone(int((tmp_path / "child").read_text()))


@pytest.fixture
def terminal() -> Iterator[None]:
    """As if the tests were not run under nohup themselves."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_all(tmp_path: Path, number: signal.Signals, gone: Callable[[int], bool]) -> None:
    """Also one that does not listen to SIGTERM, which takes its time."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code = (
        f"{deaf if number is signal.SIGINT else ''}"
        f"open(f'{tmp_path}/{{rank}}', 'w').write(str(os.getpid()))\n"
        "time.sleep(60)"
    )

    async def pids() -> list[int]:
        texts = await asyncio.to_thread(lambda: [path.read_text() for path in tmp_path.iterdir()])
        return [int(text) for text in texts if text]

    running = asyncio.create_task(run(tmp_path, code))
    started = await eventually(pids, wanted=lambda found: len(found) == 2)
    os.kill(os.getpid(), number)
    with pytest.raises(StoppedError) as caught:
        await running
    assert caught.value.number is number
    assert all(gone(pid) for pid in started)
