"""Many connections, and bodies in very many chunks, at every server."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator

import pytest

from tests.httpd.servers import ServerFactory, ServerOptions
from tests.httpd.test_slow_clients import POST, is_served
from tests.support.raw_client import raw_client
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.httpd.admission import ConnectionLimits

FEW = ServerOptions(ConnectionLimits(50, header_timeout_s=1.0, idle_timeout_s=1.0))
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNKS = 250_000
_MANY_CHUNKS = 1_000_000
_SEND = """
import socket, sys
host, port, request = sys.argv[1], int(sys.argv[2]), sys.stdin.buffer.read()
with socket.create_connection((host, port)) as connection:
    connection.sendall(request)
    sys.exit(b" 200 " not in connection.recv(1000))
"""
"""A client of its own: it must not take the time of the event loop that it measures."""


@contextlib.asynccontextmanager
async def _sender(address: Address, request: bytes) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A process that sends this."""
    with tempfile.TemporaryFile() as file:
        file.write(request)
        file.seek(0)
        process = subprocess.Popen(  # noqa: ASYNC220 - it only starts it
            [sys.executable, "-c", _SEND, address.host, str(address.port)], stdin=file
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def status_of_a_newcomer(address: Address) -> int:
    """What a good client gets; 0 where its connection is closed without a word."""
    async with raw_client(address) as client:
        await client.send(POST)
        try:
            return (await client.answer()).status
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0


async def test_idle_connections_beyond_the_limit_get_503(serving: ServerFactory) -> None:
    async with serving(FEW) as server, contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(raw_client(server.address)) for _ in range(60)]
        refusal = await idle[-1].answer()
        assert refusal.status == 503
        assert refusal.headers["retry-after"]
        assert await idle[-1].ends() == b""


@pytest.mark.process
async def test_idle_connections_block_good_clients_only_briefly(serving: ServerFactory) -> None:
    async with serving(FEW) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(200):
            await stack.enter_async_context(raw_client(server.address))
        await eventually(lambda: status_of_a_newcomer(server.address), wanted=lambda status: status == 200)


@pytest.mark.process
async def test_idle_used_connections_block_only_briefly_too(serving: ServerFactory) -> None:
    async with serving(FEW) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(50):
            client = await stack.enter_async_context(raw_client(server.address))
            await client.send(POST)
            assert (await client.answer()).status == 200
        await eventually(lambda: status_of_a_newcomer(server.address), wanted=lambda status: status == 200)


async def test_chunks_of_one_byte_are_read_in_linear_time(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        began_s = time.process_time()
        await client.send(CHUNKED + b"1\r\nx\r\n" * _CHUNKS + b"0\r\n\r\n")
        async with asyncio.timeout(60):
            assert (await client.answer()).status == 200
        used_s = time.process_time() - began_s
        assert server.bodies() == [b"x" * _CHUNKS]
        # Read in quadratic time this took over ten times as long.
        assert used_s < 10


@pytest.mark.process
async def test_chunks_of_one_byte_delay_no_other(serving: ServerFactory) -> None:
    """The event loop here is the server's, but for the worker: a delay shows as a late answer."""
    bomb = CHUNKED + b"1\r\nx\r\n" * _MANY_CHUNKS + b"0\r\n\r\n"
    async with serving(ServerOptions()) as server, contextlib.AsyncExitStack() as stack:
        senders = [await stack.enter_async_context(_sender(server.address, bomb)) for _ in range(4)]
        delays_s, loop = list[float](), asyncio.get_running_loop()
        while any(sender.poll() is None for sender in senders):
            began_s = loop.time()
            await is_served(server.address)
            delays_s.append(loop.time() - began_s)
        assert [sender.returncode for sender in senders] == [0] * len(senders)
        # It is 0.2 s at most on an idle machine. One connection after the other, all that had come of each at
        # once, took over a second. The median, since one of them may be a busy machine's.
        assert statistics.median(delays_s) < 0.4


async def test_chunk_lines_without_end_are_refused(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(CHUNKED + b"4;" + b"a" * 1_000_000)
        assert (await client.answer()).status == 400
        assert await client.ends() == b""


async def test_trailers_without_end_are_refused(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(CHUNKED + b"4\r\nabcd\r\n0\r\n" + b"X: abcd\r\n" * 100_000)
        assert (await client.answer()).status == 400
        assert await client.ends() == b""
