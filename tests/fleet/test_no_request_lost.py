"""Whatever happens to workers and proxy, each client gets the answer to its own image."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.canned_server import nobody
from tests.support.consul_agent import consul_agent
from tests.support.fleet_processes import Fleet, fleet, registry_process, worker_id
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import eventually

RATE = 200.0
REQUESTS = 2000


@pytest.fixture(params=["embedded", "consul"])
def registry(request: pytest.FixtureRequest) -> Iterator[str]:
    """A registry of the test's own."""
    if request.param == "embedded":
        address = nobody()
        with registry_process(address):
            yield f"consul://{address}"
    else:
        with consul_agent() as consul:
            yield f"consul://{consul.address}"


async def in_flight(running: Fleet, worker: str) -> int:
    count: int = (await running.rows())[worker]["in_flight"]
    return count


async def test_a_worker_is_killed_in_the_middle_of_a_body(registry: str, model: Path) -> None:
    held = 9
    async with fleet(registry, model, workers=3) as running:
        victim = running.workers[0]
        victim_id = worker_id(victim)
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            await load.sent(100)
            load.hold(held)
            await eventually(lambda: in_flight(running, victim_id), wanted=lambda n: n >= held // 3)
            await load.sent(300)
            at_the_kill, before = load.in_flight, load.tally.sent
            victim.process.kill()
            await asyncio.to_thread(victim.process.wait, 20)
            at_the_kill += load.tally.sent - before  # on a busy machine it takes its time to end
            await running.ready(2)
            failed_tries = await running.failed_tries()
            load.let_go()
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.held.faultless, f"{load.held} {load.held.failures[:3]}"
        assert load.held.retries > 0, "one of them was with the victim, and was sent again from its beginning"
        assert victim_id not in load.held.workers
        assert failed_tries <= at_the_kill + 1, "it was ejected by the first failed try"
        assert await running.failed_tries() == failed_tries, "and after that only probed"
        assert load.tally.retries + load.held.retries == failed_tries


@pytest.mark.parametrize("registry", ["embedded"], indirect=True)
async def test_a_worker_accepts_and_never_answers(registry: str, model: Path) -> None:
    async with fleet(registry, model, workers=3) as running:
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            await load.sent(300)
            stopped = running.workers[0].process
            stopped.send_signal(signal.SIGSTOP)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"


@pytest.mark.parametrize("registry", ["consul"], indirect=True)
async def test_all_workers_are_restarted_one_after_the_other(registry: str, model: Path) -> None:
    async with fleet(registry, model, workers=2) as running:
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            for old in list(running.workers):
                running.add_worker()
                await running.ready(3)
                old.process.terminate()
                await running.ready(2)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.tally.retries == 0, "a worker that leaves in order costs nobody even a retry"
        assert len(load.tally.workers) == 4


@pytest.mark.parametrize("registry", ["embedded"], indirect=True)
async def test_a_fleet_of_2_grows_to_4_and_shrinks_to_1(registry: str, model: Path) -> None:
    async with fleet(registry, model, workers=2) as running:
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            running.add_worker()
            running.add_worker()
            await running.ready(4)
            await load.sent(REQUESTS // 2)
            *leaving, last = running.workers
            for worker in leaving:
                worker.process.terminate()
            await running.ready(1)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert set(load.tally.workers) == {worker_id(worker) for worker in running.workers}
        assert [await asyncio.to_thread(worker.process.wait, 10) for worker in leaving] == [0, 0, 0]
        assert last.process.poll() is None


@pytest.mark.parametrize("registry", ["embedded"], indirect=True)
async def test_a_proxy_that_is_asked_to_stop_answers_what_was_begun(registry: str, model: Path) -> None:
    held = 6
    async with fleet(registry, model, workers=2) as running:
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            load.hold(held)
            await load.sent(REQUESTS)
            load.may_be_refused = True
            running.proxy_process.terminate()
            await eventually(lambda: asyncio.sleep(0, load.tally.refused))
            assert load.held.in_flight == held
            load.let_go()
            code = await asyncio.to_thread(running.proxy_process.wait, 20)
            with pytest.raises(aiohttp.ClientConnectorError):
                await running.rows()
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.held.faultless, f"{load.held} {load.held.failures[:3]}"
        assert code == 0
