"""`tfleet score --fleet` asks one version, whatever is rolled out, and in requests of a bounded size."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from tests.bulk.conftest import score_argv
from tests.support.described_workers import model_page
from tests.support.embedded_registry import embedded_registry
from tests.support.environment import users_environment
from tests.support.fake_worker import FakeWorker
from tests.support.planned_fleet import asked, fleet_of, write_plan
from tests.support.waiting import eventually
from tfleet.discovery.plan import Plan
from tfleet.proxy.settings import Mode

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

ROWS = 100


class VersionedWorker:
    """It answers each row with its version, and waits for `before` when it is asked for its model."""

    def __init__(self, worker: FakeWorker, before: Callable[[], Awaitable[None]] | None = None) -> None:
        self.rows: list[int] = []
        self._before = before
        self._name = worker.name
        self._version = worker.name.partition("/")[2]
        worker.answer = self._answer

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"X-Worker": self._name, "X-Model": self._name}
        if request.method == "GET":
            if self._before is not None:
                await self._before()
            return web.json_response(model_page("m", self._version), headers=headers)
        with pa.ipc.open_stream(body) as reader:
            rows = reader.read_all().num_rows
        self.rows.append(rows)
        sink = pa.BufferOutputStream()
        batch = pa.record_batch({"y": pa.array([float(self._version)] * rows, pa.float32())})
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        content = sink.getvalue().to_pybytes()
        return web.Response(body=content, content_type="application/vnd.apache.arrow.stream", headers=headers)


async def score(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        score_argv("rows.csv", "-o", "out", *arguments),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env=users_environment(),
    )


@pytest.mark.parametrize("mode", ["p2p", "forward"])
async def test_a_rollout_after_the_first_answer_changes_no_row(mode: Mode, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x\n" + "1\n" * ROWS)
    with embedded_registry() as registry:
        async with fleet_of("m/1", "m/2", mode=mode, within=registry) as (proxy, served):

            async def roll_out() -> None:
                await write_plan(registry, Plan("1", labels={}))
                await eventually(
                    lambda: asked(proxy, "/models"), wanted=lambda found: '"prod"' not in found[1]
                )

            old, new = VersionedWorker(served["m/2"], roll_out), VersionedWorker(served["m/1"])
            options = ("--fleet-model", "m", "--batch-rows", 10, "--concurrency", 1)
            done = await score(tmp_path, "--fleet", proxy.url, *options)
            assert (done.returncode, done.stderr) == (0, "")
            assert pq.read_table(tmp_path / "out")["y"].to_pylist() == [2.0] * ROWS
            assert (sum(old.rows) > ROWS, new.rows) == (True, [])
            # The next run gets the version that was rolled out.
            done = await score(tmp_path, "--fleet", proxy.url, *options, "--limit", 5, "-o", "next")
            assert (done.returncode, done.stderr) == (0, "")
            assert pq.read_table(tmp_path / "next")["y"].to_pylist() == [1.0] * 5


async def test_requests_at_a_time_share_the_memory(tmp_path: Path) -> None:
    note = "n" * 100_000
    (tmp_path / "rows.csv").write_text("x,note\n" + f"1,{note}\n" * ROWS)
    async with fleet_of("m/1", "m/2") as (proxy, served):
        worker = VersionedWorker(served["m/2"])
        options = ("--fleet-model", "m/2", "--memory", "400MB", "--concurrency", 8)
        done = await score(tmp_path, "--fleet", proxy.url, *options)
        assert (done.returncode, done.stderr) == (0, "")
        # A batch may have 1/128 of the memory, and each four of eight requests share one.
        most_rows = 400_000_000 // 128 // 4 // len(note)
        assert max(worker.rows[1:]) == most_rows
