"""Clients that drip are ended, however many there are, and others are served meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.worker.wsgi.busy_server import quick
from tfleet.httpd.admission import ConnectionLimits
from tfleet.runtime.open_files import raise_open_files_limit
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

pytestmark = pytest.mark.process


SLOW_CLIENTS = 500
TIMEOUT_S = 1.0
HEADER_TIMEOUT_S = 4.0
"""More, because good clients have to connect and send in that time, on however busy a machine."""

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nX-Padding: "
BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
CHUNKS = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED_LATER = b"POST / HTTP/1.1\r\nHost: x\r\nX-Worker: w2\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
def server() -> Iterator[WsgiServer]:
    server = WsgiServer(
        host="127.0.0.1",
        port=0,
        threads=2,
        body_limits=BodyLimits(1_000_000, timeout_s=TIMEOUT_S, bytes_per_s=1000),
        connection_limits=ConnectionLimits(2000, HEADER_TIMEOUT_S, idle_give_way=True),
    )
    server.start(quick, "w1")
    yield server
    server.close(timeout_s=5)


async def drip(server: WsgiServer, start: bytes, drop: bytes) -> bytes:
    """Send the start, then a drop ten times a second. What the server said until it ended the connection."""
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)

    async def send() -> None:
        writer.write(start)
        while True:
            await asyncio.sleep(TIMEOUT_S / 10)
            writer.write(drop)

    sending = asyncio.ensure_future(send())
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        sending.cancel()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(server: WsgiServer) -> bytes:
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("start", "drop"),
    [(HEAD, b"x"), (BODY, b"x"), (CHUNKS, b"1\r\nx\r\n"), (CHUNKS + b"400\r\n", b"x"), (REFUSED_LATER, b"x")],
    ids=["heads", "bodies", "chunks", "a chunk", "a body that is thrown away"],
)
async def test_500_slow_clients_are_ended(server: WsgiServer, start: bytes, drop: bytes) -> None:
    slow = [asyncio.ensure_future(drip(server, start, drop)) for _ in range(SLOW_CLIENTS)]
    began_s = time.monotonic()
    while not all(client.done() for client in slow):
        assert (await ask(server)).endswith(b"\r\n\r\nhi")
        await asyncio.sleep(0.05)
    assert time.monotonic() - began_s < 15
    assert {client.result().split(b"\r\n")[0] for client in slow} == {b"HTTP/1.1 408 Request Timeout"}
    assert server.queue.waiting_bytes == 0


async def test_a_body_that_comes_fast_enough_is_taken(server: WsgiServer) -> None:
    """Longer than a body may be silent, and faster than the least."""
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n")
    for _ in range(25):
        await asyncio.sleep(TIMEOUT_S / 12)
        writer.write(bytes(200))
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    await writer.wait_closed()


async def test_connections_without_a_request_are_closed(server: WsgiServer) -> None:
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


IDLE_CONNECTIONS = 2100


async def test_idle_connections_lock_nobody_out(server: WsgiServer) -> None:
    """More than there may be: those that have been idle longest end."""
    host, port = server.address.host, server.address.port
    raise_open_files_limit(3 * IDLE_CONNECTIONS)  # for both ends of each
    idle = [await asyncio.open_connection(host, port) for _ in range(IDLE_CONNECTIONS)]
    try:
        for _ in range(20):
            assert (await ask(server)).endswith(b"\r\n\r\nhi")
    finally:
        for _, writer in idle:
            writer.transport.abort()
