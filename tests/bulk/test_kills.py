"""A run that is killed at any moment, and goes on: every row once, and the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.bulk.conftest import IRIS, flowers, score_argv
from tests.support.environment import users_environment
from tests.support.waiting import eventually_sync

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("TFLEET_TEST_KILLS", "2"))
ROWS = 300_000


def start(folder: Path, out: str, *options: object) -> subprocess.Popen[str]:
    argv = score_argv("rows.csv", "-o", out, "--model", IRIS, "--part-rows", 5000, *options)
    return subprocess.Popen(
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=users_environment()
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def parts(folder: Path) -> int:
    return len(list(folder.glob("part-*.parquet")))


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """What a run writes that nobody kills."""
    (tmp_path / "rows.csv").write_text(flowers(ROWS))
    with start(tmp_path, "whole") as process:
        assert process.wait(100) == 0
    return contents(tmp_path / "whole")


def test_kills_at_random_moments_cost_no_row(whole: dict[str, bytes], tmp_path: Path) -> None:
    chance = random.Random(16)
    assert len(whole) > 10
    for _ in range(KILLS):
        there = parts(tmp_path / "out")
        with start(tmp_path, "out", "--resume") as process:
            wanted = min(there + chance.randrange(1, 4), len(whole) - 2)
            eventually_sync(lambda wanted=wanted: parts(tmp_path / "out") >= wanted)  # type: ignore[misc] # bound at once
            time.sleep(chance.random() / 20)  # a moment within a part
            process.kill()
            assert process.wait(20) in {-signal.SIGKILL, 0}
    with start(tmp_path, "out", "--resume") as process:
        assert process.wait(100) == 0
    assert contents(tmp_path / "out") == whole


def test_ctrl_c_keeps_what_is_written(whole: dict[str, bytes], tmp_path: Path) -> None:
    with start(tmp_path, "out") as process:
        eventually_sync(lambda: parts(tmp_path / "out") >= 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    if process.returncode != 0:  # it may have been too fast
        assert (process.returncode, err) == (
            130,
            "tfleet score: interrupted: what is written stays, and --resume goes on\n",
        )
    with start(tmp_path, "out", "--resume") as process:
        assert process.wait(100) == 0
    assert contents(tmp_path / "out") == whole
