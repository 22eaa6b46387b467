"""After its last response a connection is read for a while."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest

from tests.httpd.servers import LIMITS, Echo, Refusals, ServerFactory, ServerOptions, bare_server
from tests.support.raw_client import raw_client
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client, OpenRequest
from tfleet.httpd.linger import Linger
from tfleet.httpd.listen import listening_sockets, resolve
from tfleet.httpd.server import Server

TOO_LARGE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n"
MIB = 1024 * 1024


def test_a_silent_client_has_five_seconds() -> None:
    assert Linger(now_s=100.0, draining=False).due_s == 105.0


def test_a_client_that_sends_is_read_on() -> None:
    linger = Linger(now_s=100.0, draining=False)
    for second in range(1, 20):
        linger.received(1, now_s=100.0 + second)
        assert linger.due_s == 105.0 + second


def test_no_client_is_read_for_over_thirty_seconds() -> None:
    linger = Linger(now_s=100.0, draining=False)
    for second in range(1, 30):
        linger.received(1, now_s=100.0 + second)
    assert linger.due_s == 130.0


def test_a_draining_server_reads_on_for_two_seconds() -> None:
    linger = Linger(now_s=100.0, draining=True)
    linger.received(1, now_s=101.0)
    assert linger.due_s == 102.0


def test_over_64_mib_are_too_much() -> None:
    linger = Linger(now_s=100.0, draining=False)
    linger.received(64 * MIB, now_s=100.0)
    assert not linger.too_much
    linger.received(1, now_s=100.0)
    assert linger.too_much


@pytest.mark.process
async def test_a_refused_client_may_send_on_for_seconds(serving: ServerFactory) -> None:
    """A reset would show as an error of its next write, and could cost it the response."""
    if serving is bare_server:  # which refuses no length
        return
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(TOO_LARGE)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while loop.time() - began_s < 3.5:
            client.writer.write(b"x")
            await client.writer.drain()
            await asyncio.sleep(0.1)
        assert (await client.answer()).status == 413
        assert await client.ends() == b""


async def test_a_refused_client_that_sends_too_much_is_cut(serving: ServerFactory) -> None:
    if serving is bare_server:  # which refuses no length
        return
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(TOO_LARGE)
        assert (await client.answer()).status == 413
        sent_mib = 0
        with contextlib.suppress(ConnectionError):
            while sent_mib < 1000:
                client.writer.write(bytes(MIB))
                await client.writer.drain()
                sent_mib += 1
        assert 60 <= sent_mib < 200, "64, and what the system buffers"


class ResetBeforeTheEnd(Echo):
    """Answers a client that resets its connection before the server has ended its own side."""

    def __init__(self, head: RequestHead, client: Client, leaver: socket.socket) -> None:
        super().__init__(head, client, [], 10.0)
        self._leaver = leaver

    def _answer(self) -> None:
        self._client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        # Closed without lingering, a connection is reset.
        self._leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._leaver.close()
        # Not within the callback of the connection, where asyncio takes any OSError for the connection's.
        asyncio.get_running_loop().call_soon(lambda: self._client.finish(keep=False))


def test_a_reset_right_behind_the_answer_breaks_nothing() -> None:
    """On asyncio's own loop, which workers use: uvloop says nothing of a connection that is reset."""
    asyncio.run(_answer_a_leaver())


async def _answer_a_leaver() -> None:
    loop, broken = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: broken.append(context))
    with socket.socket() as leaver:
        begun = list[ResetBeforeTheEnd]()

        def handle(head: RequestHead, client: Client) -> OpenRequest:
            begun.append(ResetBeforeTheEnd(head, client, leaver))
            return begun[-1]

        server = Server(handle, Refusals(), LIMITS, loop)
        sockets = listening_sockets(await resolve(Address("127.0.0.1", 0)))
        server.listen(sockets)
        leaver.setblocking(False)
        await loop.sock_connect(leaver, sockets[0].getsockname())
        await loop.sock_sendall(leaver, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: asyncio.sleep(0, begun))
        await eventually(lambda: asyncio.sleep(0, server.admission.admitted), wanted=(0).__eq__)
        await server.close(timeout_s=1)
    assert broken == []
