"""`tfleet score --fleet` with a real worker and a real proxy in p2p mode."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.bulk.conftest import IRIS, flowers, score_argv
from tests.support.environment import users_environment
from tests.support.served_model import served_model

pytestmark = pytest.mark.timeout(240)


def score(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = score_argv(*arguments)
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=110, check=False, cwd=cwd, env=users_environment()
    )


async def test_a_fleet_scores_as_this_process_does(tmp_path: Path) -> None:
    lines = flowers(10_000).splitlines()
    lines[77] = "76,wide,1,1,1"
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    local = await asyncio.to_thread(score, "rows.csv", "-o", "local", "--model", IRIS, cwd=tmp_path)
    assert local.returncode == 1
    async with served_model(IRIS, cache=tmp_path / "cache") as ways:
        for name, url in (("p2p", ways.p2p), ("forward", ways.forward)):
            options = ("-o", name, "--fleet", url, "--fleet-model", "iris/1", "--batch-rows", 500)
            done = await asyncio.to_thread(score, "rows.csv", *options, cwd=tmp_path)
            assert (done.returncode, done.stderr) == (1, "")
    ours = pq.read_table(tmp_path / "local").to_pydict()
    probabilities = ours.pop("probability")
    for name in ("p2p", "forward"):
        theirs = pq.read_table(tmp_path / name).to_pydict()
        assert theirs.pop("probability") == [
            None if each is None else pytest.approx(each, abs=1e-4) for each in probabilities
        ]
        assert theirs == ours
