"""Bodies in chunks cost what they weigh, and what is between the chunks is bounded."""

import asyncio
import resource
import time
from collections.abc import Iterator

import pytest

from tests.worker.wsgi.busy_server import quick
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
TINY = b"1\r\nx\r\n"
UPLOADS = 8
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def server() -> Iterator[WsgiServer]:
    server = WsgiServer(host="127.0.0.1", port=0, threads=8, body_limits=BodyLimits(4_000_000))
    server.start(quick)
    yield server
    server.close(timeout_s=5)


async def talk(server: WsgiServer, sent: bytes) -> bytes:
    """All that is answered; what is sent may end in the middle."""
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.transport.abort()


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def cost_s(server: WsgiServer, chunks: int) -> float:
    """The CPU time of bodies of so many chunks of one byte."""
    began_s = cpu_s()
    answers = await asyncio.gather(*(talk(server, HEAD + TINY * chunks + END) for _ in range(UPLOADS)))
    assert {answer.partition(b"\r\n\r\n")[2] for answer in answers} == {b"x" * chunks}
    return cpu_s() - began_s


@pytest.mark.process
async def test_one_byte_chunks_cost_linear_time(server: WsgiServer) -> None:
    await cost_s(server, 1000)
    few_s, many_s = await cost_s(server, 20_000), await cost_s(server, 160_000)
    assert many_s < 8 * few_s * 2, "8 times the chunks: 64 times the time if it were quadratic"


@pytest.mark.process
async def test_health_is_answered_while_one_byte_chunks_come(server: WsgiServer) -> None:
    uploads = [asyncio.ensure_future(talk(server, HEAD + TINY * 350_000 + END)) for _ in range(UPLOADS)]
    slowest_s = 0.0
    while not all(upload.done() for upload in uploads):
        began_s = time.monotonic()
        assert (await talk(server, HEALTH)).startswith(b"HTTP/1.1 200 ")
        slowest_s = max(slowest_s, time.monotonic() - began_s)
    assert slowest_s < 8, "it was over half a minute when chunks were read in quadratic time"
    assert {len(upload.result().partition(b"\r\n\r\n")[2]) for upload in uploads} == {350_000}


@pytest.mark.parametrize(
    "body",
    [
        b"5;" + b"x" * 9000 + b"\r\nhello\r\n" + END,
        b"5;" + b"x" * 1_000_000,
        b"0" * 1_000_000,
        b"5\r\nhello\r\n0\r\n" + b"X-Trailer: x\r\n" * 1000 + b"\r\n",
        b"5\r\nhello\r\n0\r\nX-Trailer: " + b"x" * 1_000_000,
        b"5\r\nhello\r\n0\r\nX Trailer: x\r\n\r\n",
    ],
    ids=["extension", "endless extension", "endless size", "trailers", "endless trailer", "broken trailer"],
)
async def test_lines_between_chunks_are_bounded(server: WsgiServer, body: bytes) -> None:
    assert (await talk(server, HEAD + body)).startswith(b"HTTP/1.1 400 ")
