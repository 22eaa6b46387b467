"""A run that is killed at any moment, and goes on: every row once, and the same bytes.

`make soak` does it with 3,000,000 rows and ten kills.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.bulk.conftest import COLUMNS, IRIS, score_argv
from tests.support.environment import users_environment
from tests.support.waiting import eventually_sync

KILLS = int(os.environ.get("TFLEET_SOAK_KILLS", "2"))
ROWS = int(os.environ.get("TFLEET_SOAK_ROWS", "30000"))
PARTS = 60
WHOLE_S = 100 + ROWS // 5000  # a start takes a minute where a machine has much else to do
FORMS = ("rows.csv", "rows.parquet")

pytestmark = [pytest.mark.process, pytest.mark.timeout(60 + (KILLS + 3) * WHOLE_S)]


def start(folder: Path, name: str, out: str, *options: object) -> subprocess.Popen[str]:
    # Small batches, so that even the short run takes long enough to be killed in its middle.
    sizes = ("--part-rows", ROWS // PARTS, "--batch-rows", 16 + ROWS // 20_000)
    argv = score_argv(name, "-o", out, "--model", IRIS, *sizes, *options)
    return subprocess.Popen(
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=users_environment()
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def parts(folder: Path) -> int:
    return len(list(folder.glob("part-*.parquet")))


def write(folder: Path) -> None:
    """The same rows in both forms."""
    sizes = np.random.default_rng(16).uniform(0, 8, (ROWS, len(COLUMNS))).round(1).astype(np.float32)
    table = pa.table({"id": range(ROWS)} | dict(zip(COLUMNS, sizes.T, strict=True)))
    pq.write_table(table, folder / "rows.parquet", row_group_size=ROWS // 3)
    pyarrow.csv.write_csv(table, folder / "rows.csv")


@pytest.mark.parametrize("name", FORMS)
def test_kills_at_random_moments_cost_no_row(name: str, tmp_path: Path) -> None:
    write(tmp_path)
    with start(tmp_path, name, "whole") as process:
        assert process.wait(WHOLE_S) == 0
    whole = contents(tmp_path / "whole")
    count = parts(tmp_path / "whole")
    assert count > PARTS // 2
    chance = random.Random(16)
    moments = sorted(chance.sample(range(1, count * 2 // 3), KILLS))
    for moment in moments:
        with start(tmp_path, name, "out", "--resume") as process:
            eventually_sync(lambda moment=moment: parts(tmp_path / "out") >= moment, timeout_s=WHOLE_S)  # type: ignore[misc] # bound at once
            time.sleep(chance.random() / 200)  # a moment within a part
            process.kill()
            assert process.wait(20) == -signal.SIGKILL
        assert parts(tmp_path / "out") < count
    with start(tmp_path, name, "out", "--resume") as process:
        assert process.wait(WHOLE_S) == 0
    assert contents(tmp_path / "out") == whole
    ids = pq.read_table(tmp_path / "out", columns=["id"])["id"].to_pylist()
    assert list(map(int, ids)) == list(range(ROWS))


def test_ctrl_c_keeps_what_is_written(tmp_path: Path) -> None:
    write(tmp_path)
    with start(tmp_path, "rows.parquet", "out") as process:
        eventually_sync(lambda: parts(tmp_path / "out") >= 2, timeout_s=WHOLE_S)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (
        130,
        "tfleet score: interrupted: what is written stays, and --resume goes on\n",
    )
    assert {path.name.partition("-")[0] for path in (tmp_path / "out").iterdir()} == {
        "part",
        "_manifest.json",
    }
    with start(tmp_path, "rows.parquet", "out", "--resume") as process:
        assert process.wait(WHOLE_S) == 0
    ids = pq.read_table(tmp_path / "out", columns=["id"])["id"].to_pylist()
    assert ids == list(range(ROWS))
