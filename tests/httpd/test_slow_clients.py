"""Clients that are slow on purpose are ended, at every server, and cost the others nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.httpd.servers import ServerFactory, ServerOptions
from tests.support.raw_client import RawClient, raw_client
from tfleet.contract.address import Address
from tfleet.httpd.admission import ConnectionLimits

pytestmark = pytest.mark.process


IMPATIENT = ServerOptions(
    ConnectionLimits(1000, header_timeout_s=0.5, idle_timeout_s=0.5), body_timeout_s=0.5
)
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"
_DRIP_S = 0.05


@contextlib.asynccontextmanager
async def dripping(client: RawClient) -> AsyncIterator[None]:
    """Sends a byte now and then inside the block."""

    async def drip() -> None:
        while True:
            await asyncio.sleep(_DRIP_S)
            await client.send(b"x")

    task = asyncio.ensure_future(drip())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def is_served(address: Address) -> None:
    """A client that does nothing wrong gets its answer."""
    async with raw_client(address) as client:
        await client.send(POST)
        assert (await client.answer()).status == 200


async def test_a_head_that_drips_ends_with_408(serving: ServerFactory) -> None:
    async with serving(IMPATIENT) as server, raw_client(server.address) as client:
        await client.send(POST[:30])
        async with dripping(client):
            refusal = await client.answer()
        assert refusal.status == 408
        assert refusal.problem()["detail"]
        assert await client.ends() == b""
        assert server.bodies() == []


async def test_a_second_head_that_drips_ends_with_408(serving: ServerFactory) -> None:
    async with serving(IMPATIENT) as server, raw_client(server.address) as client:
        await client.send(POST)
        assert (await client.answer()).status == 200
        await client.send(POST[:30])
        async with dripping(client):
            assert (await client.answer()).status == 408
        assert await client.ends() == b""


async def test_a_silent_new_connection_is_closed(serving: ServerFactory) -> None:
    async with serving(IMPATIENT) as server, raw_client(server.address) as client:
        assert await client.ends() == b""


async def test_an_idle_connection_is_closed(serving: ServerFactory) -> None:
    async with serving(IMPATIENT) as server, raw_client(server.address) as client:
        await client.send(POST)
        assert (await client.answer()).status == 200
        assert await client.ends() == b""


async def test_empty_lines_keep_no_connection_open(serving: ServerFactory) -> None:
    async with serving(IMPATIENT) as server, raw_client(server.address) as client:
        await client.send(POST)
        assert (await client.answer()).status == 200

        async def empty_lines() -> None:
            while True:
                await client.send(b"\r\n")
                await asyncio.sleep(_DRIP_S)

        sending = asyncio.ensure_future(empty_lines())
        assert await client.ends() == b""
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def test_a_body_that_drips_is_ended(serving: ServerFactory) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    async with serving(IMPATIENT) as server, raw_client(server.address) as client:
        await client.send(head)
        async with dripping(client):
            refusal = await client.answer()
        assert refusal.status in {408, 504}
        assert await client.ends() == b""
        assert server.bodies() == []


async def test_a_body_in_chunks_that_drips_is_ended(serving: ServerFactory) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n"
    async with serving(IMPATIENT) as server, raw_client(server.address) as client:
        await client.send(head)
        async with dripping(client):
            assert (await client.answer()).status in {408, 504}
        assert await client.ends() == b""
        assert server.bodies() == []


async def test_a_body_that_stops_ends_with_408(serving: ServerFactory) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nab"
    options = ServerOptions(IMPATIENT.limits, body_timeout_s=0.5)
    async with serving(options) as server, raw_client(server.address) as client:
        await client.send(head)
        assert (await client.answer()).status in {408, 504}
        assert await client.ends() == b""


async def test_slow_heads_block_no_other_client(serving: ServerFactory) -> None:
    options = ServerOptions(ConnectionLimits(1000, header_timeout_s=2.0, idle_timeout_s=2.0))
    async with serving(options) as server, contextlib.AsyncExitStack() as stack:
        slow = []
        for _ in range(200):
            slow.append(await stack.enter_async_context(raw_client(server.address)))
            await slow[-1].send(POST[:30])
        await is_served(server.address)
        for client in slow:
            assert (await client.answer()).status == 408
        await is_served(server.address)
