from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.waiting import eventually
from tfleet.client.drain import WorkerDrain
from tfleet.client.errors import FleetError, FleetUnavailableError, UnexpectedAnswerError
from tfleet.client.http.transport import Transport
from tfleet.client.worker_status import WorkerStatus
from tfleet.contract.address import Address


class DrainingWorker:
    """A fake worker: its responses are set by path, and each stage of its shutdown is called by the test."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str]] = {"/drain": (202, "draining\n")}
        self.asked: list[str] = []
        self.head = ""
        self.busy(0)
        self._server: asyncio.Server
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = Address(*self._server.sockets[0].getsockname())

    def lives_as(self, worker_id: str) -> None:
        self.answers["/healthz"] = (200, f"{worker_id}\n")

    def busy(self, in_flight: int) -> None:
        lines = f"tfleet_worker_in_flight {in_flight + 1}.0\ntfleet_worker_in_flight_other 7\n"
        self.answers["/metrics"] = (200, lines)

    @property
    def silent(self) -> int:
        """Connections that are open and have asked nothing."""
        return len(self._open)

    def stop_accepting(self) -> None:
        self._server.close()

    def close_connections(self) -> None:
        for writer in self._open:
            writer.close()

    def end(self) -> None:
        self.stop_accepting()
        self.close_connections()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.head = head.decode()
            method, target, _ = self.head.split(" ", 2)
            self.asked.append(f"{method} {target}")
            status, body = self.answers.get(target.partition("?")[0], (404, "nothing"))
            reply = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
            writer.write(reply.encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client asked nothing, and the connection has ended
        finally:
            self._open.discard(writer)
            writer.close()


@pytest.fixture
async def worker() -> AsyncIterator[DrainingWorker]:
    fake = DrainingWorker()
    await fake.start()
    fake.lives_as("w1")
    yield fake
    fake.end()


@asynccontextmanager
async def draining(address: Address, worker_id: str = "w1", ticket: str = "") -> AsyncIterator[WorkerDrain]:
    transport = Transport(connect_timeout_s=3.0, max_connections=4)
    try:
        async with WorkerDrain(transport, WorkerStatus(worker_id, str(address)), address, ticket) as one:
            yield one
    finally:
        await transport.close()


async def test_the_drain_request_names_the_workers_id(worker: DrainingWorker) -> None:
    async with draining(worker.address, "w&1") as one:
        await one.begin()
    assert worker.asked == ["POST /drain?worker=w%261"]


async def test_the_ticket_is_shown_if_there_is_one(worker: DrainingWorker) -> None:
    async with draining(worker.address, ticket="1.a") as one:
        await one.begin()
        assert "\r\nX-Ticket: 1.a\r\n" in worker.head
    async with draining(worker.address) as one:
        await one.begin()
        assert "X-Ticket" not in worker.head


@pytest.mark.parametrize(
    ("ticket", "said"),
    [("", "w1 asks for a ticket and the proxy gave none: .*--ticket-key-file"), ("1.a", "it has expired")],
)
async def test_a_refused_ticket_is_reported_with_what_to_do(
    worker: DrainingWorker, ticket: str, said: str
) -> None:
    worker.answers["/drain"] = (401, json.dumps({"status": 401, "detail": "it has expired"}))
    async with draining(worker.address, ticket=ticket) as one:
        with pytest.raises(UnexpectedAnswerError, match=said):
            await one.begin()


async def test_a_static_worker_has_no_id_to_name(worker: DrainingWorker) -> None:
    async with draining(worker.address, str(worker.address)) as one:
        await one.begin()
    assert worker.asked == ["POST /drain"]


@pytest.mark.parametrize(
    ("status", "detail", "kind", "said"),
    [
        (
            421,
            "this is w2, not w1",
            UnexpectedAnswerError,
            "another worker answers at .*: this is w2, not w1",
        ),
        (503, "nothing to drain: the worker is starting", FleetUnavailableError, "nothing to drain"),
        (404, "there is nothing at /drain", UnexpectedAnswerError, "nothing at /drain"),
    ],
)
async def test_a_worker_that_does_not_go_says_why(
    worker: DrainingWorker, status: int, detail: str, kind: type[FleetError], said: str
) -> None:
    worker.answers["/drain"] = (status, json.dumps({"status": status, "detail": detail}))
    async with draining(worker.address) as one:
        with pytest.raises(kind, match=said):
            await one.begin()


async def test_a_server_that_is_no_worker_is_reported(worker: DrainingWorker) -> None:
    worker.answers["/drain"] = (200, "<html>")
    async with draining(worker.address) as one:
        with pytest.raises(UnexpectedAnswerError, match="is the address right"):
            await one.begin()


async def test_an_unreachable_worker_is_named_with_the_reason(nobody: str) -> None:
    async with draining(Address.parse(nobody)) as one:
        with pytest.raises(
            FleetUnavailableError, match=f"cannot reach w1 at {nobody} from here: connection refused"
        ):
            await one.begin()


async def test_a_drain_ends_with_the_last_request(
    worker: DrainingWorker,
) -> None:
    """Not when the worker takes no more connections."""
    happened: list[str] = []
    async with draining(worker.address) as one, asyncio.TaskGroup() as group:
        await one.begin()

        async def wait() -> None:
            await one.wait_gone(lambda _: None)
            happened.append("gone")

        group.create_task(wait())
        worker.stop_accepting()
        await asyncio.sleep(0.5)  # a request that takes its time
        happened.append("finished")
        worker.close_connections()
    assert happened == ["finished", "gone"]
    assert repr(one) == "<WorkerDrain of w1 in_flight=None held=False>"


async def test_changes_of_requests_in_flight_are_reported(worker: DrainingWorker) -> None:
    told: list[int] = []
    worker.busy(2)
    async with draining(worker.address) as one, asyncio.TaskGroup() as group:
        await one.begin()
        group.create_task(one.wait_gone(told.append))
        await eventually(lambda: asyncio.sleep(0, worker.asked.count("GET /metrics") >= 2))
        worker.busy(0)
        await eventually(lambda: asyncio.sleep(0, told == [2, 0]))
        worker.end()
    assert one.in_flight == 0


async def test_a_connection_that_ends_early_is_no_end_of_the_worker(worker: DrainingWorker) -> None:
    worker.answers["/metrics"] = (
        200,
        "no figure, so that it is asked for once and the held connection is alone\n",
    )
    async with draining(worker.address) as one, asyncio.TaskGroup() as group:
        await one.begin()
        waiting = group.create_task(one.wait_gone(lambda _: None))
        await eventually(lambda: asyncio.sleep(0, "GET /metrics" in worker.asked))
        for times in (1, 2):
            await eventually(lambda: asyncio.sleep(0, worker.silent == 1))
            worker.close_connections()
            asked = "GET /healthz?worker=w1"
            await eventually(lambda: asyncio.sleep(0, worker.asked.count(asked) >= times))  # noqa: B023 - at once
            assert not waiting.done()
        await eventually(lambda: asyncio.sleep(0, worker.silent == 1))
        worker.end()


async def test_another_worker_at_its_address_does_not_keep_it_alive(worker: DrainingWorker) -> None:
    async with draining(worker.address) as one:
        await one.begin()
        worker.answers["/healthz"] = (421, "this is w2, not w1")
        worker.close_connections()
        async with asyncio.timeout(10):
            await one.wait_gone(lambda _: None)


async def test_a_worker_without_an_in_flight_figure_is_awaited(worker: DrainingWorker) -> None:
    worker.answers["/metrics"] = (200, "nothing that we know\n")
    async with draining(worker.address) as one, asyncio.TaskGroup() as group:
        await one.begin()
        group.create_task(one.wait_gone(lambda _: None))
        await eventually(lambda: asyncio.sleep(0, "GET /metrics" in worker.asked))
        worker.end()
    assert one.in_flight is None
