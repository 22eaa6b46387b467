"""Clients that send their images straight to the workers notice no more of what happens to these."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.canned_server import nobody
from tests.support.fleet_processes import fleet, registry_process, worker_id
from tests.support.p2p_load import P2pLoad

RATE = 200.0
REQUESTS = 2000


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    address = nobody()
    with registry_process(address):
        yield f"consul://{address}"


async def test_a_worker_is_killed_and_another_one_does_not_answer(registry: str, model: Path) -> None:
    async with fleet(registry, model, "--mode", "p2p", workers=4) as running:
        killed, stopped, *_ = running.workers
        async with P2pLoad(running.proxy.url, rate=RATE, try_timeout_s=0.3) as load:
            await load.sent(200)
            killed.process.kill()
            # Before the registry misses its heartbeat: the proxy has the word of a client, and asks.
            await running.ready(3)
            await load.sent(REQUESTS // 2)
            retries = load.tally.retries
            stopped.process.send_signal(signal.SIGSTOP)
            await running.ready(2)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert 0 < retries < REQUESTS // 20 < REQUESTS // 4, "one call in four would go to the dead worker"
        assert load.tally.retries > retries


async def test_all_workers_are_restarted_one_after_the_other(registry: str, model: Path) -> None:
    async with fleet(registry, model, "--mode", "p2p", workers=2) as running:
        async with P2pLoad(running.proxy.url, rate=RATE) as load:
            for old in list(running.workers):
                running.add_worker()
                await running.ready(3)
                old.process.terminate()
                await running.ready(2)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert set(load.tally.workers) == {worker_id(worker) for worker in running.workers}
