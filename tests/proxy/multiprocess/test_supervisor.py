import asyncio
import contextlib
import os
import re
import signal
from typing import Any

import aiohttp
import pytest

from tests.support.fake_worker import fake_worker
from tests.support.proxy_process import (
    address_of,
    lines,
    metrics,
    pids,
    post,
    static,
    together,
)
from tests.support.registered_workers import workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.balancing.mirror_counts import MirrorCounts, MirrorResult, read_counts
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.multiprocess.messages import Report
from tfleet.proxy.multiprocess.supervisor import ChildSupervisor
from tfleet.proxy.telemetry.metrics import ProxyMetrics

pytestmark = pytest.mark.process


REQUESTS = 40
_ANSWERED = re.compile(r'^tfleet_proxy_requests_total\{route="/",status="200"\} ([\d.]+)$', re.MULTILINE)
_SECONDS = re.compile(r'^tfleet_proxy_request_seconds_count\{route="/"\} ([\d.]+)$', re.MULTILINE)


async def count(pattern: re.Pattern[str], proxy: Address) -> float:
    found = pattern.search(await metrics(proxy))
    return float(found[1]) if found else 0.0


def test_mirror_counts_of_killed_listeners_end_with_the_canary() -> None:
    canary = ModelVersion("m", "2")
    counts = MirrorCounts()
    counts.count_only([canary])
    counts.add(canary, MirrorResult.AGREED)
    supervisor = ChildSupervisor(1, ProxyMetrics())
    mirrored, ended = Plans({"m": Plan("1", Canary("2", mirror=5.0))}), Plans({"m": Plan("1")})
    supervisor.use_plans(mirrored)
    for number in (1, 2):
        supervisor.child_ended(Report(families=tuple(counts.collect())))
        assert read_counts(supervisor.reported())[canary].results[MirrorResult.AGREED] == number
    supervisor.use_plans(ended)
    supervisor.child_ended(Report(families=tuple(counts.collect())))
    supervisor.use_plans(mirrored)
    assert read_counts(supervisor.reported()) == {}


async def test_totals_include_killed_listeners() -> None:
    async with fake_worker() as worker:
        with together(*static(worker), "--retry-floor", "1000") as running:
            proxy = await address_of(running)
            first = await pids(running)
            await post(proxy, REQUESTS)
            assert {await count(_ANSWERED, proxy) for _ in range(6)} == {REQUESTS}, "whoever is asked"
            assert await count(_SECONDS, proxy) == REQUESTS
            assert 'tfleet_proxy_workers{state="ready"} 1.0' in await metrics(proxy), "both see the same one"
            os.kill(first[0], signal.SIGKILL)
            await lines(running, "listener ended: starting it again")
            await post(proxy, REQUESTS)
            assert await count(_ANSWERED, proxy) == 2 * REQUESTS, "the other one serves on"
            await lines(running, "listener started", 3)
            second = await pids(running)
            assert len(set(first) & set(second)) == 1
            await post(proxy, REQUESTS)
            assert await count(_ANSWERED, proxy) == 3 * REQUESTS
            assert "tfleet_proxy_listener_restarts_total 1.0" in await metrics(proxy)


async def test_a_hanging_listener_does_not_block_the_totals() -> None:
    async with fake_worker() as worker:
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            await post(proxy, REQUESTS)
            assert await count(_ANSWERED, proxy) == REQUESTS
            hung, _ = await pids(running)
            os.kill(hung, signal.SIGSTOP)
            async with aiohttp.ClientSession() as session:
                text = None
                while text is None:  # some of the questions go to the one that hangs
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1), session.get(f"{proxy.url}/metrics") as answer:
                            text = await answer.text()
                found = _ANSWERED.search(text)
                assert found
                assert float(found[1]) == REQUESTS, "what it told before goes on being told"
                async with session.get(f"{proxy.url}/workers") as answer:
                    assert len((await answer.json())["workers"]) == 1
            os.kill(hung, signal.SIGCONT)


async def test_requests_in_flight_are_summed_over_listeners() -> None:
    release = asyncio.Event()

    async def hold(_: Any) -> Any:
        await release.wait()
        raise aiohttp.web.HTTPOk

    async with fake_worker() as worker, asyncio.TaskGroup() as group:
        worker.answer = hold
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            held = [group.create_task(post(proxy, 1)) for _ in range(12)]
            (row,) = await eventually(
                lambda: workers(proxy), wanted=lambda rows: rows[0]["in_flight"] == len(held)
            )
            assert row["state"] == "ready"
            release.set()
            await asyncio.wait(held)
