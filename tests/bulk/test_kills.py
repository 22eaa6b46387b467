"""A run that is killed at any moment, and goes on: every row once, and the same bytes.

`make soak` does it with 3,000,000 rows and ten kills.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.bulk.conftest import COLUMNS, IRIS
from tests.support.forked_workers import ForkedProcess, ForkedWorkers
from tests.support.waiting import eventually_sync

KILLS = int(os.environ.get("TFLEET_SOAK_KILLS", "2"))
ROWS = int(os.environ.get("TFLEET_SOAK_ROWS", "30000"))
PARTS = 60
WHOLE_S = 100 + ROWS // 5000  # a start takes a minute where a machine has much else to do
FORMS = ("rows.csv", "rows.parquet")

pytestmark = [pytest.mark.process, pytest.mark.timeout(60 + (KILLS + 3) * WHOLE_S)]


@contextmanager
def started(
    forked: ForkedWorkers, folder: Path, name: str, out: str, *options: object
) -> Iterator[ForkedProcess]:
    """A run that has begun; what it says is in `out.log`."""
    # Small batches, so that even the short run takes long enough to be killed in its middle.
    sizes = ("--part-rows", ROWS // PARTS, "--batch-rows", 16 + ROWS // 20_000)
    argv = ["score", name, "-o", out, "--model", IRIS, *sizes, *options]
    process = ForkedProcess(forked, [*map(str, argv)], str(folder / f"{out}.log"), {}, folder=folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


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
def test_kills_at_random_moments_cost_no_row(forked: ForkedWorkers, name: str, tmp_path: Path) -> None:
    write(tmp_path)
    with started(forked, tmp_path, name, "whole") as process:
        assert process.wait(WHOLE_S) == 0
    whole = contents(tmp_path / "whole")
    count = parts(tmp_path / "whole")
    assert count > PARTS // 2
    chance = random.Random(16)
    codes = []
    for number in range(KILLS):  # one in each share of the run, the last one included
        moment = chance.randrange(max(number * count // KILLS, 1), (number + 1) * count // KILLS)
        with started(forked, tmp_path, name, "out", "--resume") as process:
            eventually_sync(lambda moment=moment: parts(tmp_path / "out") >= moment, timeout_s=WHOLE_S)  # type: ignore[misc] # bound at once
            time.sleep(chance.random() / 200)  # a moment within a part
            process.kill()
            codes.append(process.wait(20))
    # The last one may have been done before.
    assert codes[:-1] == [-signal.SIGKILL] * (KILLS - 1)
    with started(forked, tmp_path, name, "out", "--resume") as process:
        assert process.wait(WHOLE_S) == 0
    assert contents(tmp_path / "out") == whole
    ids = pq.read_table(tmp_path / "out", columns=["id"])["id"].to_pylist()
    assert list(map(int, ids)) == list(range(ROWS))


def test_ctrl_c_keeps_what_is_written(forked: ForkedWorkers, tmp_path: Path) -> None:
    write(tmp_path)
    with started(forked, tmp_path, "rows.parquet", "out") as process:
        eventually_sync(lambda: parts(tmp_path / "out") >= 2, timeout_s=WHOLE_S)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert (tmp_path / "out.log").read_text() == (
        "tfleet score: interrupted: what is written stays, and --resume goes on\n"
    )
    assert {path.name.partition("-")[0] for path in (tmp_path / "out").iterdir()} == {
        "part",
        "_manifest.json",
    }
    with started(forked, tmp_path, "rows.parquet", "out", "--resume") as process:
        assert process.wait(WHOLE_S) == 0
    ids = pq.read_table(tmp_path / "out", columns=["id"])["id"].to_pylist()
    assert ids == list(range(ROWS))
