from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tfleet.client import BadImageError, UnexpectedAnswerError
from tfleet.client.http.transport import HttpResponse, LostConnectionError, Transport
from tfleet.client.images.image import HELD_BYTES, Image, load

if TYPE_CHECKING:
    from tests.client.conftest import ScriptedFleet

JPEG = b"\xff\xd8\xff" + bytes(100)
IMAGE = Image("image/jpeg", len(JPEG), held=JPEG)
ID = {"X-Request-Id": "r"}


@pytest.fixture
async def wire() -> AsyncIterator[Transport]:
    wire = Transport(connect_timeout_s=5, max_connections=4)
    yield wire
    await wire.close()


async def test_an_image_is_sent_raw_with_its_type_and_length(wire: Transport, fleet: ScriptedFleet) -> None:
    server = fleet.server()
    reply = await wire.post(f"{server.url}/predict?top=2", IMAGE, ID)
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/predict?top=2", JPEG)
    assert (seen.headers["Content-Type"], seen.headers["Content-Length"]) == ("image/jpeg", "103")
    assert seen.headers["X-Request-Id"] == "r"
    assert (reply.status, reply.headers["x-worker"]) == (200, "tfleet-w1")


async def test_a_large_file_is_streamed_with_its_length(
    wire: Transport, fleet: ScriptedFleet, tmp_path: Path
) -> None:
    server = fleet.server()
    data = os.urandom(3 * HELD_BYTES)
    path = tmp_path / "large"
    await asyncio.to_thread(path.write_bytes, data)
    await wire.post(server.url, await load(path), ID)
    assert server.seen[0].body == data
    assert server.seen[0].headers["Content-Length"] == str(len(data))
    assert "Transfer-Encoding" not in server.seen[0].headers


async def test_connections_are_kept(wire: Transport, fleet: ScriptedFleet) -> None:
    server = fleet.server()
    for _ in range(3):
        await wire.post(server.url, IMAGE, ID)
    assert len({seen.peer for seen in server.seen}) == 1


async def test_a_stale_connection_is_replaced(wire: Transport, fleet: ScriptedFleet) -> None:
    server = fleet.server(fleet.predictions("first"), fleet.reset(), fleet.predictions("second"))
    await wire.post(server.url, IMAGE, ID)
    reply = await wire.post(server.url, IMAGE, ID)
    assert b"second" in reply.body
    assert len({seen.peer for seen in server.seen}) == 2


async def test_a_request_is_sent_again_only_once(wire: Transport, fleet: ScriptedFleet) -> None:
    server = fleet.server(fleet.predictions(), otherwise=fleet.reset())
    await wire.post(server.url, IMAGE, ID)
    with pytest.raises(LostConnectionError) as caught:
        await wire.post(server.url, IMAGE, ID)
    assert not caught.value.is_stale
    assert len(server.seen) == 3


async def test_a_new_connection_that_is_reset_is_lost(wire: Transport, fleet: ScriptedFleet) -> None:
    server = fleet.server(otherwise=fleet.reset())
    with pytest.raises(LostConnectionError, match=r"closed the connection|connection reset"):
        await wire.post(server.url, IMAGE, ID)
    assert len(server.seen) == 1


async def test_a_lookup_on_a_stale_connection_is_made_again(wire: Transport, fleet: ScriptedFleet) -> None:
    server = fleet.server(fleet.predictions(), fleet.reset(), fleet.names("a:1"))
    await wire.get(server.url, ID)
    reply = await wire.get(server.url, ID)
    assert reply.document() is not None
    assert server.seen[-1].headers["Accept"] == "application/json"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_says_so(wire: Transport, nobody: str, host: str) -> None:
    port = nobody.rpartition(":")[2]
    with pytest.raises(LostConnectionError, match=r"^connection refused$"):
        await wire.post(f"http://{host}:{port}/", IMAGE, ID)


async def test_an_unknown_host_says_so(wire: Transport) -> None:
    with pytest.raises(LostConnectionError, match=r"not known|no address|temporary failure"):
        await wire.get("http://no-such-host.invalid:1/", ID)


async def test_an_answer_cut_short_is_lost_and_not_asked_for_again(
    wire: Transport, fleet: ScriptedFleet
) -> None:
    server = fleet.server(fleet.predictions(), fleet.cut_short())
    await wire.post(server.url, IMAGE, ID)
    with pytest.raises(LostConnectionError, match="cut off") as caught:
        await wire.post(server.url, IMAGE, ID)
    assert caught.value.begun
    assert len(server.seen) == 2


async def test_a_redirect_is_not_followed(wire: Transport, fleet: ScriptedFleet) -> None:
    server = fleet.server(fleet.text(302, "", Location="/elsewhere"))
    assert (await wire.post(server.url, IMAGE, ID)).status == 302


async def test_a_server_that_speaks_no_http_is_reported(wire: Transport) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(UnexpectedAnswerError, match=f"http://{host}:{port}/ does not speak HTTP"):
            await wire.get(f"http://{host}:{port}/", ID)


async def test_an_endless_answer_is_cut_off(wire: Transport, fleet: ScriptedFleet) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1_000_000))

    with pytest.raises(UnexpectedAnswerError, match="more than 67108864 bytes"):
        await wire.post(fleet.server(endless).url, IMAGE, ID)


async def test_an_answer_before_the_body_was_sent_is_the_answer(wire: Transport, tmp_path: Path) -> None:
    """As a proxy does it that refuses by Content-Length: 413, and nobody reads the rest."""
    path = tmp_path / "large"
    await asyncio.to_thread(path.write_bytes, bytes(64 * HELD_BYTES))
    answered = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        await answered.wait()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        reply = await wire.post(f"http://{host}:{port}/", await load(path), ID)
        answered.set()
    assert (reply.status, reply.body) == (413, b"{}")


async def test_a_file_that_cannot_be_read_to_its_end_is_a_bad_image(
    wire: Transport, fleet: ScriptedFleet, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    await asyncio.to_thread(path.write_bytes, bytes(2 * HELD_BYTES))
    image = await load(path)
    await asyncio.to_thread(path.write_bytes, bytes(HELD_BYTES))
    server = fleet.server()
    with pytest.raises(BadImageError, match="became shorter"):
        await wire.post(server.url, image, ID)
    assert not server.seen


@pytest.fixture
def full_queue() -> Iterator[str]:
    """The address of a listener whose queue is full: the kernel lets further connections wait."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield "{}:{}".format(*listener.getsockname())


async def test_a_connection_that_is_not_made_in_time_is_lost(full_queue: str) -> None:
    wire = Transport(connect_timeout_s=0.05, max_connections=4)
    with pytest.raises(LostConnectionError, match="connection timed out"):
        await wire.get(f"http://{full_queue}/", ID)
    await wire.close()


@asynccontextmanager
async def reads(pieces: int, *, size: int, each_s: float) -> AsyncIterator[str]:
    """The URL of a server that reads so many pieces of a request, one each `each_s`, and answers after them;
    with no pieces it never reads.
    """
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(pieces):
            await reader.readexactly(size)
            await asyncio.sleep(each_s)
        if pieces:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await done.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=size) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}/"
        done.set()


async def test_a_silent_attempt_ends_and_is_not_repeated(wire: Transport, fleet: ScriptedFleet) -> None:
    """It is not mistaken for a stale connection, after which the request would be sent again."""
    server = fleet.server(fleet.predictions(), otherwise=fleet.never())
    await wire.post(server.url, IMAGE, ID, try_timeout_s=5)
    with pytest.raises(LostConnectionError, match=r"^no progress for 0\.1 s$"):
        await wire.post(server.url, IMAGE, ID, try_timeout_s=0.1)
    assert len(server.seen) == 2


async def test_an_attempt_ends_when_the_image_is_no_longer_read(wire: Transport) -> None:
    image = await load(bytes(64 * HELD_BYTES))
    async with reads(0, size=1, each_s=0) as url:
        with pytest.raises(LostConnectionError, match="no progress"):
            await wire.post(url, image, ID, try_timeout_s=0.2)


@pytest.mark.process
async def test_a_slow_upload_with_progress_is_no_timeout(wire: Transport) -> None:
    image = await load(bytes(32 * HELD_BYTES))
    began_s = asyncio.get_running_loop().time()
    async with reads(32, size=HELD_BYTES, each_s=0.03) as url:
        assert (await wire.post(url, image, ID, try_timeout_s=0.6)).status == 200
    assert asyncio.get_running_loop().time() - began_s > 0.6


@pytest.mark.process
async def test_a_slow_answer_with_progress_is_no_timeout(wire: Transport, fleet: ScriptedFleet) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(12):
            await response.write(b"x")
            await asyncio.sleep(0.1)
        return response

    assert (await wire.post(fleet.server(drip).url, IMAGE, ID, try_timeout_s=1.0)).body == b"x" * 12


async def test_connecting_counts_as_inactivity(full_queue: str) -> None:
    wire = Transport(connect_timeout_s=30, max_connections=4)
    with pytest.raises(LostConnectionError, match="no progress"):
        await wire.post(f"http://{full_queue}/", IMAGE, ID, try_timeout_s=0.1)
    await wire.close()


@pytest.mark.process
async def test_waiting_for_a_free_connection_is_no_inactivity(fleet: ScriptedFleet) -> None:
    held = fleet.server(fleet.never(), otherwise=fleet.predictions())
    wire = Transport(connect_timeout_s=5, max_connections=1)
    first = asyncio.create_task(wire.post(held.url, IMAGE, ID))
    await asyncio.to_thread(held.wait_for, 1)
    second = asyncio.create_task(wire.post(held.url, IMAGE, ID, try_timeout_s=1.0))
    await asyncio.sleep(1.1)  # longer than a try may be silent
    assert not second.done()
    first.cancel()
    assert (await second).status == 200
    await wire.close()


async def test_a_closed_transport_is_not_used_again(wire: Transport, fleet: ScriptedFleet) -> None:
    assert repr(wire) == "<Transport unused, at most 4 connections>"
    await wire.get(fleet.server().url, ID)
    assert repr(wire) == "<Transport open, at most 4 connections>"
    await wire.close()
    assert repr(wire) == "<Transport closed, at most 4 connections>"
    with pytest.raises(RuntimeError, match="the client is closed"):
        await wire.get("http://localhost:1/", ID)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"[1]", b"\xff", b"[" * 100_000])
def test_a_body_without_a_json_object_has_no_document(body: bytes) -> None:
    assert HttpResponse("http://x", 200, {}, body).document() is None


def test_a_json_object_is_the_document() -> None:
    assert HttpResponse("http://x", 200, {}, b'{"a": 1}').document() == {"a": 1}


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (404, {"Content-Type": "text/html; charset=utf-8"}, "404 Not Found (text/html)"),
        (299, {}, "299 (no content type)"),
    ],
)
def test_an_answer_is_described_by_status_and_kind(status: int, headers: dict[str, str], said: str) -> None:
    assert HttpResponse("http://x", status, headers, b"").describe() == said
