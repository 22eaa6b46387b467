"""Which connections to a worker are used again, and which never."""

import asyncio
import socket
from collections import Counter

import pytest

from tests.support.fake_worker import settings
from tests.support.proxy_invariants import assert_at_rest, states
from tests.support.scripted_worker import (
    Step,
    half_close,
    hang,
    read,
    read_head,
    reset,
    scripted_worker,
    take_little,
    wait,
)
from tests.support.strict_client import StrictClient, in_chunks, post, strict_client
from tests.support.waiting import eventually
from tfleet.httpd.http1.response import ResponseHead
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.upstream.connection_pool import WorkerConnections

OK = b"HTTP/1.1 200 OK\r\n"
ABC = OK + b"Content-Length: 3\r\n\r\nabc"
ABC_IN_CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(b"abc")
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
LARGE = 32_000_000
_TCP_CLOSE = 7  # of Linux' enum in tcp_states.h
EVIL = OK + b"Content-Length: 4\r\n\r\nevil"

KEPT: dict[str, tuple[bytes, ...]] = {
    "has a length": (ABC, ABC, ABC),
    "has chunks": (ABC_IN_CHUNKS, ABC_IN_CHUNKS, ABC_IN_CHUNKS),
    "is of each kind": (ABC_IN_CHUNKS, NOTHING, ABC),
    "is HTTP/1.0 and says so": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
        ABC,
        ABC,
    ),
}


@pytest.mark.parametrize("answers", KEPT.values(), ids=KEPT.keys())
async def test_a_connection_is_reused_after_a_complete_answer(answers: tuple[bytes, ...]) -> None:
    script = [step for answer in answers for step in (read, answer)]
    async with (
        scripted_worker(*script, hang) as worker,
        single_process_proxy(settings(worker.address)) as proxy,
    ):
        async with strict_client(proxy) as client:
            for number in range(len(answers)):
                await client.send(post(b"%d" % number))
                answer = await client.whole()
                assert (answer.body, answer.headers["x-retries"]) in {(b"abc", "0"), (b"", "0")}
        assert [(request.connection, request.body) for request in worker.requests] == [
            (0, b"0"),
            (0, b"1"),
            (0, b"2"),
        ]


EXTRAS = {
    "a byte too much": b"x",
    "an empty line too much": b"\r\n",
    "a second answer": EVIL,
    "half a second answer": EVIL[:30],
    "a second head": EVIL[:-4],
    "a second body": b"3\r\nabc\r\n0\r\n\r\n",
}
AT_ONCE: dict[str, tuple[Step, ...]] = {}
LATER: dict[str, tuple[Step, ...]] = {}
for kind, answer in {"a length": ABC, "chunks": ABC_IN_CHUNKS, "no body": NOTHING}.items():
    for name, extra in EXTRAS.items():
        AT_ONCE[f"{kind} and {name}"] = (read, answer + extra, hang)
        LATER[f"{kind} and {name}"] = (read, answer, wait, extra, hang)


async def _ask(client: StrictClient, body: bytes) -> bytes:
    await client.send(post(body))
    answer = await client.whole()
    assert (answer.status, answer.headers["x-retries"]) in {(200, "0"), (204, "0")}
    return answer.body


@pytest.mark.parametrize("script", AT_ONCE.values(), ids=AT_ONCE.keys())
async def test_excess_bytes_belong_to_no_answer(
    script: tuple[Step, ...],
) -> None:
    async with scripted_worker(*script) as worker, single_process_proxy(settings(worker.address)) as proxy:
        async with strict_client(proxy) as client:
            for number in range(3):
                assert await _ask(client, b"%d" % number) in {b"abc", b""}
        assert [(request.connection, request.body) for request in worker.requests] == [
            (0, b"0"),
            (1, b"1"),
            (2, b"2"),
        ]
        await assert_at_rest(proxy, worker)
        assert await states(proxy) == ["ready"]


@pytest.mark.parametrize("script", LATER.values(), ids=LATER.keys())
async def test_excess_bytes_after_an_answer_end_the_connection(script: tuple[Step, ...]) -> None:
    async with scripted_worker(*script) as worker, single_process_proxy(settings(worker.address)) as proxy:
        async with strict_client(proxy) as client:
            for number in range(2):
                assert await _ask(client, b"%d" % number) in {b"abc", b""}
                worker.go_on.set()
                await assert_at_rest(proxy, worker)
        assert [(request.connection, request.body) for request in worker.requests] == [(0, b"0"), (1, b"1")]
        assert await states(proxy) == ["ready"]


ENDED: dict[str, tuple[Step, ...]] = {
    "says that it closes": (read, OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", hang),
    "is HTTP/1.0": (read, b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", hang),
    "is followed by FIN": (read, ABC),
    "is followed by a half-close": (read, ABC, half_close, hang),
    "is followed by RST": (read, ABC, reset),
}


@pytest.mark.parametrize("script", ENDED.values(), ids=ENDED.keys())
async def test_a_connection_is_closed_after_any_other_answer(script: tuple[Step, ...]) -> None:
    async with scripted_worker(*script) as worker, single_process_proxy(settings(worker.address)) as proxy:
        async with strict_client(proxy) as client:
            for number in range(3):
                assert await _ask(client, b"%d" % number) == b"abc"
                await assert_at_rest(proxy, worker)
        assert [request.connection for request in worker.requests] == [0, 1, 2]
        assert await states(proxy) == ["ready"]


async def test_a_cut_answer_on_a_kept_connection_ejects() -> None:
    """Unlike one that had closed it before the request came: there, not a byte of an answer is seen."""
    async with (
        scripted_worker(read, ABC, read, OK) as worker,
        single_process_proxy(settings(worker.address)) as proxy,
    ):
        async with strict_client(proxy) as client:
            assert await _ask(client, b"0") == b"abc"
            await client.send(post(b"1"))
            assert (await client.whole()).status == 502
        assert await states(proxy) == ["ejected"]


async def _clogged(client: StrictClient) -> bool:
    """Whether everything between the client and a worker that doesn't read is full."""
    waiting_bytes = client.writer.transport.get_write_buffer_size()
    await asyncio.sleep(0.05)
    return 0 < waiting_bytes == client.writer.transport.get_write_buffer_size()


async def test_an_unread_body_does_not_delay_the_close() -> None:
    """What was not sent yet when the answer came is thrown away, not waited for."""

    async def state() -> int:
        (line,) = worker.lines
        found: bytes = line.writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return found[0]

    async with scripted_worker(take_little, read_head, wait, ABC, wait) as worker:
        async with (
            single_process_proxy(settings(worker.address, max_body_bytes=LARGE)) as proxy,
            strict_client(proxy) as client,
        ):
            client.writer.write(post(bytes(LARGE)))
            await eventually(lambda: _clogged(client))
            worker.go_on.set()
            assert (await client.whole()).body == b"abc"
            # The worker never reads on: to wait for it would take --try-timeout (10 s) or longer.
            await eventually(state, wanted=lambda found: found == _TCP_CLOSE, timeout_s=8.0)
        worker.go_on.set()
        await eventually(lambda: asyncio.sleep(0, worker.open_lines), wanted=lambda count: count == 0)


async def test_an_answer_ended_by_fin_is_whole_mid_request() -> None:
    """There is something to be written until the worker reads on, which it never does."""
    script = (take_little, read_head, wait, OK + b"\r\nabc", half_close, wait)
    async with scripted_worker(*script) as worker:
        limits = settings(worker.address, max_body_bytes=LARGE)
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            client.writer.write(post(bytes(LARGE)))
            await eventually(lambda: _clogged(client))
            worker.go_on.set()
            assert (await client.whole()).body == b"abc"
        worker.go_on.set()


class Turns:
    """Notes how much of a response comes in each turn of the event loop."""

    def __init__(self) -> None:
        self.received: Counter[int] = Counter()
        self.end: list[str] = []
        self._turn = 0
        self._loop = asyncio.get_running_loop()
        self._next_turn()

    def _next_turn(self) -> None:
        self._turn += 1
        if not self.end:
            self._loop.call_soon(self._next_turn)

    def head_came(self, head: ResponseHead) -> None:
        assert head.chunked

    def piece_came(self, piece: bytes) -> None:
        self.received[self._turn] += len(piece)

    def response_ended(self, *, reusable: bool) -> None:
        self.end.append("whole")

    def broke_off(self, reason: str, *, silently: bool, took_all: bool) -> None:
        self.end.append("cut")

    def full_now(self) -> None:
        """The request is small."""

    def drained(self) -> None:
        """The request is small."""


CHUNKS = 200_000
MANY_CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * CHUNKS


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ((read, MANY_CHUNKS + b"0\r\n\r\n", hang), "whole"),
        ((read, MANY_CHUNKS + b"0\r\n\r\n"), "whole"),
        ((read, MANY_CHUNKS), "cut"),
    ],
    ids=["kept", "closed", "cut"],
)
async def test_very_many_chunks_are_read_turn_by_turn(script: tuple[Step, ...], end: str) -> None:
    loop = asyncio.get_running_loop()
    async with scripted_worker(*script) as worker:
        with WorkerConnections(loop, keep_alive_s=15.0) as connections:
            connection = await connections.connect(worker.address)
            turns = Turns()
            connection.begin(turns, post(b"x"))
            await eventually(lambda: asyncio.sleep(0, turns.end))
            assert turns.end == [end]
            assert turns.received.total() == CHUNKS
            assert max(turns.received.values()) <= 2 * 4096, "the rest of one read, and the begin of another"
