from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.support.fake_worker import fake_worker, settings
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.httpd.http1.request import read_request_head
from tfleet.proxy.balancing.member import Probe
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.p2p.local_networks import NetworkView
from tfleet.proxy.p2p.lookup import Lookup
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode
from tfleet.proxy.ticket_issuer import TicketIssuer


async def test_a_lookup_skips_workers_that_failed_the_client() -> None:
    async with (
        fake_worker() as one,
        fake_worker() as two,
        single_process_proxy(settings(one, two, mode="p2p")) as proxy,
    ):
        async with aiohttp.ClientSession() as session:

            async def named(query: str) -> tuple[int, str]:
                async with session.get(f"{proxy.url}/worker?{query}") as answer:
                    return answer.status, (await answer.text()).strip()

            for _ in range(3):
                assert await named(f"except={one.address}&except=a-stranger") == (200, str(two.address))
            assert (await named(f"except={one.address}&except={two.address}"))[0] == 503


async def test_a_reported_failure_is_probed_before_the_next_lease() -> None:
    async with AsyncExitStack() as stack, fake_worker() as well, aiohttp.ClientSession() as session:
        dead = await stack.enter_async_context(fake_worker())
        async with single_process_proxy(settings(dead, well, mode="p2p")) as proxy:

            async def states() -> dict[str, str]:
                async with session.get(f"{proxy.url}/workers") as answer:
                    return {row["address"]: row["state"] for row in (await answer.json())["workers"]}

            await stack.aclose()
            assert set((await states()).values()) == {"ready"}
            for failed in (dead, well):  # a client's word alone changes nothing
                async with session.get(f"{proxy.url}/worker?except={failed.address}") as answer:
                    assert answer.ok
            wanted = {str(dead.address): "ejected", str(well.address): "ready"}
            await eventually(states, wanted=lambda found: found == wanted)


async def asked(
    proxy: Address, query: str, *, accept: str = "*/*", path: str = "/worker"
) -> tuple[aiohttp.ClientResponse, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{proxy.url}{path}?{query}", headers={"Accept": accept}) as answer,
    ):
        return answer, await answer.text()


@pytest.mark.parametrize(
    ("mode", "path", "forwards"),
    [("forward", "/worker", True), ("p2p", "/worker", False), ("p2p", "/", False)],
)
async def test_a_lease_names_several_workers_with_an_expiry(mode: Mode, path: str, forwards: bool) -> None:
    async with (
        fake_worker() as one,
        fake_worker() as two,
        single_process_proxy(settings(one, two, mode=mode)) as proxy,
    ):
        answer, text = await asked(proxy, "n=8", path=path)
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert answer.headers["Cache-Control"] == "no-store"
        model = {"model": "", "version": "", "stateful": False}
        rows = [
            {"id": str(address), "address": str(address), **model, "weight": 1.0}
            for address in (one.address, two.address)
        ]
        assert json.loads(text) == {"expires_in_s": 10, "forwards": forwards, "workers": rows}


async def test_leases_take_turns_and_skip_reported_failures() -> None:
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(fake_worker()) for _ in range(3)]
        addresses = [str(worker.address) for worker in workers]
        proxy = await stack.enter_async_context(single_process_proxy(settings(*workers, mode="p2p")))

        async def leased(query: str) -> list[str]:
            answer, text = await asked(proxy, query, accept="text/plain")
            assert answer.content_type == "text/plain"
            return text.splitlines()

        assert await leased("n=2") == [addresses[0], addresses[1]]
        assert await leased("n=2") == [addresses[2], addresses[0]]
        assert await leased(f"n=2&except={addresses[2]}") == [addresses[1], addresses[0]]
        answer, text = await asked(proxy, "n=2&" + "&".join(f"except={address}" for address in addresses))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "no worker is ready" in json.loads(text)["detail"]


@pytest.mark.parametrize("n", ["0", "65", "-1", "", "8.0", "all", "1" * 5000])
async def test_a_worker_count_out_of_range_is_400(n: str) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        answer, text = await asked(proxy, f"n={n}")
        assert (answer.status, answer.content_type) == (400, "application/problem+json")
        detail = f"n is {n[:20]!r}: expected a number of workers from 1 to 64"
        assert json.loads(text)["detail"] == detail


@pytest.mark.parametrize(
    "query", ["model=a&model=b", "model=a&version=1&version=2", "model=a&label=x&label=x"]
)
async def test_two_names_of_one_kind_are_400(query: str) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        answer, text = await asked(proxy, query)
        assert answer.status == 400
        assert "is there twice" in json.loads(text)["detail"]


def test_a_lease_has_the_weight_of_a_new_worker() -> None:
    now_s = 0.0
    table = WorkerTable(slow_start_s=5.0, clock=lambda: now_s, rng=random.Random(1))
    lookup = Lookup(ModelRouter(table), TicketIssuer(None, "tfleet"), NetworkView(), forwards=True)
    asked_for = read_request_head(b"GET /worker?n=8 HTTP/1.1\r\nHost: a\r\n")
    known, newcomer = Instance("w1", Address("h", 1)), Instance("w2", Address("h", 2))
    table.apply_instances([known])
    table.record_probes({known.id: (Probe.READY, "")})
    now_s = 60.0  # by now the fleet is at work
    table.apply_instances([known, newcomer])
    table.record_probes({newcomer.id: (Probe.READY, "")})
    weights = {}
    for now_s in (60.0, 61.0, 65.0):
        lease = json.loads(lookup.decide(asked_for, None).body)
        weights[now_s] = {row["id"]: row["weight"] for row in lease["workers"]}
    assert weights == {
        60.0: {"w1": 1.0, "w2": 0.1},
        61.0: {"w1": 1.0, "w2": 0.2},
        65.0: {"w1": 1.0, "w2": 1.0},
    }


async def read_to_its_end(proxy: Address, request: bytes) -> bytes:
    """What the proxy says before it closes the connection; the client keeps it open."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(request)
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return said


@pytest.mark.parametrize(("expect", "body"), [(b"Expect: 100-continue\r\n", b""), (b"", b"half of it")])
async def test_a_p2p_proxy_redirects_before_reading_the_image(expect: bytes, body: bytes) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, mode="p2p")) as proxy:
        head = b"POST /predict?top=2&x=a%20b HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n"
        said = await read_to_its_end(proxy, head + expect + b"\r\n" + body)
        assert said.startswith(b"HTTP/1.1 307 "), "and no 100 Continue before it"
        assert f"\r\nLocation: {worker.address.url}/predict?top=2&x=a%20b\r\n".encode() in said
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in said
        assert worker.seen == []


async def test_a_redirected_uploads_connection_is_closed() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, mode="p2p")) as proxy:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
        began_s = time.monotonic()
        said = await read_to_its_end(proxy, head + b"image" + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert said.count(b"HTTP/1.1 ") == 1
        assert time.monotonic() - began_s < 5
