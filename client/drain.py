"""Drain one worker, and wait until it has finished.

A draining worker accepts no new connections while it finishes its requests, so a refused connection does not
mean that it has finished. This client therefore opens an idle connection first: the worker closes it after
its last request. If the worker then no longer answers at its address, or another one does, it has finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tfleet.client.errors import FleetUnavailableError, UnexpectedAnswerError
from tfleet.client.http import responses
from tfleet.client.http.transport import LostConnectionError
from tfleet.contract.names import TICKET

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tfleet.client.http.transport import Transport
    from tfleet.client.worker_status import WorkerStatus
    from tfleet.contract.address import Address

_POLL_EVERY_S: Final = 0.2
_RESPONSE_TIMEOUT_S: Final = 5.0
_OK: Final = 200
_ACCEPTED: Final = 202
_UNAUTHORIZED: Final = 401
_MISDIRECTED: Final = 421
_IN_FLIGHT: Final = re.compile(rb"^tfleet_worker_in_flight ([0-9.]+)$", re.MULTILINE)


class WorkerDrain:
    """Drains one worker at the address, and with the ticket, that its proxy gave. Use it with `async
    with`.
    """

    def __init__(self, transport: Transport, worker: WorkerStatus, address: Address, ticket: str) -> None:
        self.in_flight: int | None = None
        """The number of requests in flight when the worker last reported it; None if unknown."""
        self._transport = transport
        self._worker = worker
        self._address = address
        self._ticket = ticket
        # In a static list the id of a worker is its address, and the worker itself does not know it.
        named = worker.id != worker.address
        self._addressee = f"?worker={quote(worker.id, safe='')}" if named else ""
        self._held: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def __repr__(self) -> str:
        return f"<WorkerDrain of {self._worker.id} in_flight={self.in_flight} held={self._held is not None}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    async def begin(self) -> None:
        """Tell the worker to drain; harmless if it is draining already. Raises FleetError."""
        try:
            async with asyncio.timeout(_RESPONSE_TIMEOUT_S):
                await self._hold()
                headers = {TICKET: self._ticket} if self._ticket else {}
                reply = await self._transport.post_empty(
                    f"{self._address.url}/drain{self._addressee}", headers
                )
        except (LostConnectionError, TimeoutError) as error:
            reason = str(error) or f"no answer in {_RESPONSE_TIMEOUT_S:g} s"
            raise FleetUnavailableError(
                f"cannot reach {self._worker.id} at {self._address} from here: {reason}"
            ) from error
        if reply.status == _MISDIRECTED:
            raise UnexpectedAnswerError(
                f"another worker answers at {self._address}: {responses.failure(reply)}", status=reply.status
            )
        if reply.status == _UNAUTHORIZED and not self._ticket:
            raise UnexpectedAnswerError(
                f"{self._worker.id} asks for a ticket and the proxy gave none: start the proxy with the "
                "worker's --ticket-key-file",
                status=reply.status,
            )
        if reply.status != _ACCEPTED:
            raise responses.failure(reply)

    async def wait_gone(self, tell: Callable[[int], None]) -> None:
        """Return when the worker has finished its requests.

        `tell` is called with the number of requests in flight whenever it changes.
        """
        async with asyncio.TaskGroup() as group:
            progress = group.create_task(self._follow(tell))
            await self._held_to_the_end()
            while await self._lives():  # the connection ended for another reason
                await self._hold()
                await self._held_to_the_end()
            progress.cancel()

    async def _hold(self) -> None:
        """Open the idle connection. If that fails, the worker is polled instead."""
        with contextlib.suppress(OSError):
            self._held = await asyncio.open_connection(self._address.host, self._address.port)

    async def _held_to_the_end(self) -> None:
        if self._held is None:
            await asyncio.sleep(_POLL_EVERY_S)
            return
        with contextlib.suppress(OSError):  # a reset is an end as well
            await self._held[0].read(1)
        self._let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held[1].close()
            self._held = None

    async def _lives(self) -> bool:
        reply = await self._ask(f"/healthz{self._addressee}")
        return reply is not None and reply[0] == _OK

    async def _follow(self, tell: Callable[[int], None]) -> None:
        """Poll the number of requests in flight for as long as the worker accepts connections."""
        while (reply := await self._ask("/metrics")) is not None:
            found = _IN_FLIGHT.search(reply[1])
            if found is None:
                return
            in_flight = max(0, round(float(found[1])) - 1)  # without this request itself
            if in_flight != self.in_flight:
                self.in_flight = in_flight
                tell(in_flight)
            await asyncio.sleep(_POLL_EVERY_S)

    async def _ask(self, path: str) -> tuple[int, bytes] | None:
        """Status and body of the answer; None if there is none."""
        try:
            async with asyncio.timeout(_RESPONSE_TIMEOUT_S):
                reply = await self._transport.get(self._address.url + path, {})
        except (LostConnectionError, UnexpectedAnswerError, TimeoutError):
            return None
        return reply.status, reply.body
