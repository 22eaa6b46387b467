"""Consul's maintenance mode under a load: nobody notices, and the worker is left in peace."""

import asyncio
from pathlib import Path

import requests

from tests.support.consul_agent import consul_agent
from tests.support.fleet_processes import fleet, worker_id
from tests.support.p2p_load import P2pLoad
from tests.support.steady_load import SteadyLoad
from tests.support.worker_process import Worker
from tfleet.contract.address import Address

RATE = 100.0
WITHIN_S = 1.0
LEASE_S = 10.0


async def maintain(registry: Address, worker: Worker, enable: str) -> None:
    url = f"{registry.url}/v1/agent/service/maintenance/{worker_id(worker)}?enable={enable}&reason=x"
    answer = await asyncio.to_thread(requests.put, url, timeout=10)
    assert answer.ok


async def reregistrations(worker: Worker) -> float:
    text = (await asyncio.to_thread(requests.get, f"{worker.address().url}/metrics", timeout=5)).text
    counts = [line for line in text.splitlines() if line.startswith("tfleet_registry_reregistrations_total{")]
    return sum(float(line.split()[-1]) for line in counts)


async def test_a_worker_in_maintenance_is_drained_and_comes_back(model: Path) -> None:
    with consul_agent() as consul:
        async with fleet(f"consul://{consul.address}", model, workers=2) as running:
            kept_out, _ = running.workers
            before = await reregistrations(kept_out)
            async with SteadyLoad(running.proxy.url, rate=RATE) as load:
                await load.sent(200)
                await maintain(consul.address, kept_out, "true")
                await asyncio.sleep(WITHIN_S)  # what is promised is a time
                drained = load.tally.workers[worker_id(kept_out)]
                await load.sent(200 + 10 * int(RATE))  # three of its heartbeats
                assert load.tally.workers[worker_id(kept_out)] == drained
                row = (await running.rows())[worker_id(kept_out)]
                assert (row["state"], row["last_error"]) == ("draining", "maintenance: x")
                assert await reregistrations(kept_out) == before
                await maintain(consul.address, kept_out, "false")
                await running.ready(2)
                await load.sent(200 + 15 * int(RATE))
                assert load.tally.workers[worker_id(kept_out)] > drained
            assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
            assert load.tally.retries == 0


async def test_p2p_clients_leave_it_after_their_lease(model: Path) -> None:
    with consul_agent() as consul:
        async with fleet(f"consul://{consul.address}", model, "--mode", "p2p", workers=2) as running:
            kept_out, _ = running.workers
            async with P2pLoad(running.proxy.url, rate=RATE) as load:
                await load.sent(200)
                assert load.tally.workers[worker_id(kept_out)] > 0
                await maintain(consul.address, kept_out, "true")
                await asyncio.sleep(WITHIN_S + LEASE_S)  # what is promised is a time
                drained = load.tally.workers[worker_id(kept_out)]
                await load.sent(load.tally.sent + 5 * int(RATE))
                assert load.tally.workers[worker_id(kept_out)] == drained
            assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
