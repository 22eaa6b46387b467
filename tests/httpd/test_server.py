"""The server as a whole: what it lets in, what it finishes, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest

from tests.httpd.servers import LIMITS, Refusals
from tests.support.raw_client import raw_client
from tests.support.scripted_worker import reset_connection
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.httpd.admission import ConnectionLimits, ConnectionMetrics
from tfleet.httpd.half_closed import may_wait
from tfleet.httpd.http1.local_response import CONTINUE, connection_lines, local_head, local_response
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client
from tfleet.httpd.listen import listening_sockets, resolve
from tfleet.httpd.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Held:
    """Answers each request when it is let, and notes what it is told meanwhile."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.bodies: list[bytes] = []
        self.told: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, head: RequestHead, client: Client) -> HeldRequest:
        return HeldRequest(head, client, self)

    def wait_for(self, request: HeldRequest) -> None:
        task = asyncio.ensure_future(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: HeldRequest) -> None:
        await self.go_on.wait()
        request.answer()


class HeldRequest:
    def __init__(self, head: RequestHead, client: Client, held: Held) -> None:
        self.head, self.client, self.held = head, client, held
        self.body = b""

    def start(self) -> None:
        self.held.told.append("start")
        self.held.wait_for(self)

    def body_received(self, piece: bytes) -> None:
        self.body += piece

    def body_ended(self) -> None:
        self.held.told.append("body ended")
        self.held.bodies.append(self.body)

    def body_failed(self, reason: str) -> None:
        self.held.told.append(reason)

    def body_too_large(self) -> None:
        self.held.told.append("body too large")

    def client_disconnected(self) -> None:
        self.held.told.append("client disconnected")

    def sending_ended(self) -> bool:
        return may_wait(self.head, self.client, response_begun=False)

    def pause_writing(self) -> None:
        self.held.told.append("pause")

    def resume_writing(self) -> None:
        self.held.told.append("resume")

    def on_deadline(self) -> None:
        self.held.told.append("deadline")

    def answer(self) -> None:
        keep = self.head.keep_alive and self.client.may_keep_alive
        lines = connection_lines(self.head, keep=keep)
        self.client.send(local_response(local_head(200, {}, 2), b"ok", "id", connection=lines, method=b"GET"))
        self.client.finish(keep=keep)


@contextlib.asynccontextmanager
async def serving(held: Held, limits: ConnectionLimits = LIMITS) -> AsyncIterator[tuple[Server, Address]]:
    server = Server(held, Refusals(), limits, asyncio.get_running_loop())
    address = server.listen(listening_sockets(await resolve(Address("127.0.0.1", 0))))
    try:
        yield server, address
    finally:
        await server.close(0.0)


@pytest.fixture
async def held() -> Held:
    return Held()


async def busy(server: Server, count: int) -> None:
    await eventually(lambda: asyncio.sleep(0, server.busy), wanted=count.__eq__)


def refused(address: Address) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address.host, address.port)) != 0


@pytest.mark.process
async def test_shutdown_finishes_requests_in_flight(held: Held) -> None:
    async with serving(held) as (server, address), raw_client(address) as client:
        await client.send(GET)
        await busy(server, 1)
        closing = asyncio.ensure_future(server.close(10.0))
        await eventually(lambda: asyncio.sleep(0, refused(address)))
        held.go_on.set()
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await closing == 0


async def test_shutdown_aborts_and_counts_what_takes_too_long(held: Held) -> None:
    async with serving(held) as (server, address), raw_client(address) as client:
        await client.send(GET)
        await busy(server, 1)
        assert await server.close(0.05) == 1
        assert await client.ends() == b""
        assert held.told == ["body ended", "start", "client disconnected"]
        held.go_on.set()


@pytest.mark.process
async def test_a_refused_client_that_sends_on_delays_shutdown_by_2_s(held: Held) -> None:
    async with serving(held) as (server, address), raw_client(address) as client:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.answer()).status == 400
        closing = asyncio.ensure_future(server.close(30.0))
        began_s = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while not closing.done():
                await client.send(b"x")
                await asyncio.sleep(0.05)
        assert await closing == 0
        assert time.monotonic() - began_s < 5.0


@pytest.mark.process
async def test_shutdown_waits_for_a_half_sent_request(held: Held) -> None:
    held.go_on.set()
    async with serving(held) as (server, address), raw_client(address) as client:
        await client.send(GET[:10])
        await busy(server, 1)
        closing = asyncio.ensure_future(server.close(10.0))
        await client.send(GET[10:])
        assert (await client.answer()).status == 200
        assert await closing == 0


@pytest.mark.process
async def test_a_new_connection_may_still_ask_during_shutdown(held: Held) -> None:
    held.go_on.set()
    async with serving(held) as (server, address), raw_client(address) as client:
        closing = asyncio.ensure_future(server.close(10.0))
        await eventually(lambda: asyncio.sleep(0, refused(address)))
        assert not closing.done()
        await client.send(GET)
        assert (await client.answer()).status == 200
        assert await closing == 0


async def test_an_idle_connection_does_not_delay_shutdown(held: Held) -> None:
    held.go_on.set()
    async with serving(held) as (server, address), raw_client(address) as client:
        await client.send(GET)
        assert (await client.answer()).status == 200
        async with asyncio.timeout(5.0):
            assert await server.close(60.0) == 0


@pytest.mark.process
async def test_shutdown_answers_a_request_that_was_not_read_yet(held: Held) -> None:
    held.go_on.set()
    async with serving(held) as (server, address), raw_client(address) as client:
        await client.send(GET)
        assert (await client.answer()).status == 200
        closing = asyncio.ensure_future(server.close(10.0))
        client.writer.write(GET)  # the kernel has it before the loop that closes looks at the connection
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await closing == 0


async def test_an_idle_connection_is_closed_for_a_new_one(held: Held) -> None:
    held.go_on.set()
    limits = ConnectionLimits(2, idle_give_way=True)
    async with serving(held, limits) as (server, address), contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(raw_client(address))
        second = await stack.enter_async_context(raw_client(address))
        for client in (second, first):
            await client.send(GET)
            assert (await client.answer()).status == 200
        third = await stack.enter_async_context(raw_client(address))
        await third.send(GET)
        assert (await third.answer()).status == 200
        assert await second.ends() == b"", "it has been idle longest"
        await first.send(GET)
        assert (await first.answer()).status == 200
        assert (server.admission.admitted, server.admission.turned_away) == (2, 0)


async def test_a_busy_connection_is_not_closed_for_a_new_one(held: Held) -> None:
    limits = ConnectionLimits(1, idle_give_way=True)
    async with serving(held, limits) as (server, address), raw_client(address) as first:
        await first.send(GET)
        await busy(server, 1)
        async with raw_client(address) as second:
            assert (await second.answer()).status == 503
        held.go_on.set()
        assert (await first.answer()).status == 200


async def test_a_half_sent_head_is_not_closed_for_a_new_one(held: Held) -> None:
    held.go_on.set()
    limits = ConnectionLimits(2, idle_give_way=True)
    async with serving(held, limits) as (server, address), contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(raw_client(address))
        second = await stack.enter_async_context(raw_client(address))
        for client in (first, second):
            await client.send(GET)
            assert (await client.answer()).status == 200
        await first.send(GET[:9])
        await busy(server, 1)
        third = await stack.enter_async_context(raw_client(address))
        await third.send(GET)
        assert (await third.answer()).status == 200
        await first.send(GET[9:])
        assert (await first.answer()).status == 200
        assert await second.ends() == b""


@pytest.mark.parametrize("half_first", [False, True], ids=["at once", "after a half-close"])
async def test_a_client_that_leaves_is_noticed_at_once(held: Held, half_first: bool) -> None:
    async with serving(held) as (server, address):
        async with raw_client(address) as client:
            await client.send(GET)
            await busy(server, 1)
            if half_first:
                client.writer.write_eof()
                assert await client.reader.readuntil(b"\r\n\r\n") == CONTINUE
                reset_connection(client.writer)
            else:
                client.writer.close()
            await eventually(
                lambda: asyncio.sleep(0, held.told), wanted=lambda told: "client disconnected" in told
            )
        held.go_on.set()
        await busy(server, 0)


async def test_a_half_closed_client_of_http_1_0_has_left(held: Held) -> None:
    """It can't be asked: HTTP/1.0 has no interim responses."""
    async with serving(held) as (server, address), raw_client(address) as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        await busy(server, 1)
        client.writer.write_eof()
        assert await client.ends() == b""
        assert held.told == ["body ended", "start", "client disconnected"]
        held.go_on.set()


async def test_no_request_is_read_after_a_broken_body(held: Held) -> None:
    """Whatever its handler says: what comes behind it can't be told from it."""
    smuggled = b"0\r\n\r\n" + GET
    async with serving(held) as (server, address), raw_client(address) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab")
        await busy(server, 1)
        await client.send(b"cdXX\r\n" + smuggled)
        await eventually(lambda: asyncio.sleep(0, held.told), wanted=lambda told: len(told) > 1)
        await client.send(smuggled)
        held.go_on.set()
        assert (await client.answer()).status == 200
        assert await client.ends() == b""
        assert held.told == ["start", "a chunk is longer than its size"]


async def test_an_early_answer_closes_the_connection_with_fin(held: Held) -> None:
    held.go_on.set()
    async with serving(held) as (_, address), raw_client(address) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\nab")
        assert (await client.answer()).status == 200
        async with asyncio.timeout(4.0):  # less than it would wait for the rest of the body
            assert await client.ends() == b""


async def test_the_metrics_have_the_given_names(held: Held) -> None:
    async with serving(held, ConnectionLimits(1)) as (server, address), raw_client(address) as client:
        await eventually(lambda: asyncio.sleep(0, server.admission.admitted))
        async with raw_client(address) as refused:
            assert (await refused.answer()).status == 503
        metrics = ConnectionMetrics(server.admission, connections="a_connections", refused="a_refused")
        found = {metric.name: metric.samples[0].value for metric in metrics.collect()}
        assert found == {"a_connections": 1.0, "a_refused": 1.0}
        assert client.writer
