"""Clients that stop in the middle of a request: they lose it, and nobody else is the worse for it."""

import asyncio
import socket

import aiohttp
from aiohttp import web

from tests.support.fake_worker import fake_worker, settings
from tests.support.raw_client import raw_client
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"


async def row(proxy: Address) -> tuple[str, int]:
    """The state of the only worker, and what is in flight there."""
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/workers") as answer:
        (worker,) = (await answer.json())["workers"]
        return worker["state"], worker["in_flight"]


async def test_a_body_that_stops_is_408_and_not_the_worker_s_fault() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_timeout_s=0.3)) as proxy:
        async with raw_client(proxy) as client:
            await client.send(HEAD + b"some")
            refusal = await client.answer()
            assert refusal.status == 408
            assert "--client-timeout" in refusal.problem()["detail"]
            assert await client.ends() == b""
        assert await eventually(lambda: row(proxy), wanted=lambda found: found[1] == 0) == ("ready", 0)
    assert worker.seen == []


async def test_a_body_that_comes_slowly_but_steadily_is_taken() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_timeout_s=1.0)) as proxy:
        async with raw_client(proxy) as client:
            await client.send(HEAD)
            for byte in b"something":
                await eventually(lambda: row(proxy))  # takes a moment, much less than a second
                await client.send(bytes([byte]))
            assert (await client.answer()).status == 200
    assert [seen.body for seen in worker.seen] == [b"something"]


async def test_an_unread_answer_ends_and_ejects_no_worker() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(bytes(100_000))

    async with fake_worker() as worker, single_process_proxy(settings(worker, client_timeout_s=0.3)) as proxy:
        worker.answer = endless
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, (proxy.host, proxy.port))
            await loop.sock_sendall(client, HEAD + b"something")
            await eventually(lambda: row(proxy), wanted=lambda found: found[1] == 1)
            found = await eventually(lambda: row(proxy), wanted=lambda found: found[1] == 0)
        assert found == ("ready", 0)
