"""A worker that is taken out of the fleet by hand costs nobody a request."""

import asyncio
import contextlib
import http.client
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import requests
from aiohttp import web

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.fleet_processes import fleet, registry_process, worker_id
from tests.support.pictures import picture
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import eventually, eventually_sync
from tests.support.worker_process import Worker
from tfleet.client import AsyncFleetClient
from tfleet.contract.address import Address

RATE = 200.0
REQUESTS = 2000


@pytest.fixture(scope="module")
def registry() -> Iterator[Address]:
    address = nobody()
    with registry_process(address):
        yield address


async def tfleet_drain(name: str, proxy: Address, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tfleet", "drain", name, "--proxy", str(proxy), *options),
        env=users_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def registered(registry: Address) -> set[str]:
    entries = requests.get(f"{registry.url}/v1/health/service/tfleet", timeout=10).json()
    return {entry["Service"]["ID"] for entry in entries}


async def test_tfleet_drain_ends_a_worker_and_fails_no_request(registry: Address, model: Path) -> None:
    held, share = (
        30,
        4,
    )  # in turns with the others, so that each worker has some of them, but not just a third
    async with fleet(f"consul://{registry}", model, workers=3) as running:
        leaving, *others = running.workers
        name = worker_id(leaving)
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            await load.sent(200)
            load.hold(held)
            rows = await eventually(running.rows, wanted=lambda found: found[name]["in_flight"] >= 2 * share)
            assert rows.keys() == {worker_id(worker) for worker in running.workers}
            drain = await tfleet_drain(name, running.proxy)
            assert drain.stderr
            said = (await drain.stderr.readline()).decode()
            told = re.fullmatch(rf"{name} is draining, (\d+) requests in flight\n", said)
            assert told, said
            assert int(told[1]) >= share, "uploads count"
            await asyncio.to_thread(eventually_sync, lambda: refused(leaving.address()))
            assert leaving.process.poll() is None, "it still has uploads to finish"
            waiting = drain.returncode is None
            load.let_go()
            output, _ = await drain.communicate()
            code = await asyncio.to_thread(leaving.process.wait, 5)
            await load.sent(REQUESTS)
        assert waiting, "until the uploads were done"
        assert (drain.returncode, code) == (0, 0)
        assert output.decode().startswith(f"{name} is gone, after ")
        assert leaving.events("worker stopped")[0]["unfinished"] == 0
        assert await asyncio.to_thread(registered, registry) == {worker_id(worker) for worker in others}
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.held.faultless, f"{load.held} {load.held.failures[:3]}"
        assert load.held.retries == 0, "what was begun was finished where it was begun"
        assert load.tally.workers[name] > 0


async def test_a_client_with_a_lease_moves_on_at_once(registry: Address, model: Path) -> None:
    async with fleet(f"consul://{registry}", model, workers=2) as running:
        leaving, other = running.workers
        address = leaving.address()
        async with lookups(leaving, other) as proxy:
            async with AsyncFleetClient(proxy.url, p2p=True, top=1) as client:
                assert (await client.classify(picture("red"))).worker == worker_id(leaving)
                with kept(address) as connection, upload(address):
                    drain = await tfleet_drain(str(address), running.proxy, "--no-wait")
                    assert await drain.wait() == 0
                    await asyncio.to_thread(eventually_sync, lambda: refused(address))
                    status, retry_after = await asyncio.to_thread(post, connection, "red")
                    assert (status, retry_after) == (503, "0")
                    began_s = time.monotonic()
                    found = await client.classify(picture("red"))
                    assert time.monotonic() - began_s < 1
                    assert (found.worker, found.predictions[0].label) == (worker_id(other), "red")


def refused(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@contextlib.contextmanager
def kept(address: Address) -> Iterator[http.client.HTTPConnection]:
    """A connection to a worker that has been used and is open."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    with contextlib.closing(connection):
        assert post(connection, "red")[0] == 200
        yield connection


def post(connection: http.client.HTTPConnection, colour: str) -> tuple[int, str | None]:
    connection.request("POST", "/", body=picture(colour), headers={"Content-Type": "image/png"})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.getheader("Retry-After")


@contextlib.contextmanager
def upload(address: Address) -> Iterator[None]:
    """An upload that never ends: the worker has something to finish."""
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n1")
        yield


@contextlib.asynccontextmanager
async def lookups(*workers: Worker) -> AsyncIterator[Address]:
    """A proxy that only names these workers, one after the other, whatever has become of them."""
    named = iter([{"id": worker_id(worker), "address": str(worker.address())} for worker in workers])

    async def name(_: web.Request) -> web.Response:
        return web.json_response({**next(named), "expires_in_s": 30})

    app = web.Application()
    app.router.add_get("/worker", name)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Address(*runner.addresses[0])
    finally:
        await runner.cleanup()
