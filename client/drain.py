"""Sends one worker out of the fleet, and waits until it is gone.

How a worker is known to be gone, by somebody who is not on its machine: it takes no new connections long
before that, while it finishes what it has begun. So a connection is held from the beginning that asks
nothing; the worker closes it, with all the others, when its last request is done. If then nobody answers at
its address, or somebody else does, it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tfleet.client.errors import FleetUnavailableError, UnexpectedAnswerError
from tfleet.client.http import answers
from tfleet.client.http.transport import LostConnectionError
from tfleet.contract.names import TICKET

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tfleet.client.http.transport import Transport
    from tfleet.client.worker_status import WorkerStatus
    from tfleet.contract.address import Address

_LOOK_EVERY_S: Final = 0.2
_ANSWER_TIMEOUT_S: Final = 5.0
_OK: Final = 200
_ACCEPTED: Final = 202
_UNAUTHORIZED: Final = 401
_MISDIRECTED: Final = 421
_IN_FLIGHT: Final = re.compile(rb"^tfleet_worker_in_flight ([0-9.]+)$", re.MULTILINE)


class WorkerDrain:
    """The end of one worker, at an address that its proxy gave, with a ticket if it gave one. To be used with
    `async with`.
    """

    def __init__(self, transport: Transport, worker: WorkerStatus, address: Address, ticket: str) -> None:
        self.in_flight: int | None = None
        """What it was still working on when it was last asked; None where nobody knows."""
        self._transport = transport
        self._worker = worker
        self._address = address
        self._ticket = ticket
        # In a static list a worker has no name but its address, which it does not know itself.
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
        """Tell the worker to leave. One that is leaving already is told again. Raises FleetError."""
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await self._hold()
                headers = {TICKET: self._ticket} if self._ticket else {}
                reply = await self._transport.post_empty(
                    f"{self._address.url}/drain{self._addressee}", headers
                )
        except (LostConnectionError, TimeoutError) as error:
            reason = str(error) or f"no answer in {_ANSWER_TIMEOUT_S:g} s"
            raise FleetUnavailableError(
                f"cannot reach {self._worker.id} at {self._address} from here: {reason}"
            ) from error
        if reply.status == _MISDIRECTED:
            raise UnexpectedAnswerError(
                f"another worker answers at {self._address}: {answers.failure(reply)}", status=reply.status
            )
        if reply.status == _UNAUTHORIZED and not self._ticket:
            raise UnexpectedAnswerError(
                f"{self._worker.id} asks for a ticket and the proxy gave none: start the proxy with the "
                "worker's --ticket-key-file",
                status=reply.status,
            )
        if reply.status != _ACCEPTED:
            raise answers.failure(reply)

    async def wait_gone(self, tell: Callable[[int], None]) -> None:
        """Return when the worker has finished what it had.

        `tell` gets the number of requests in flight whenever there is a new one.
        """
        async with asyncio.TaskGroup() as group:
            progress = group.create_task(self._follow(tell))
            await self._held_to_the_end()
            while await self._lives():  # the connection ended for another reason
                await self._hold()
                await self._held_to_the_end()
            progress.cancel()

    async def _hold(self) -> None:
        """Open the connection that is held; without one the worker's answers have to do."""
        with contextlib.suppress(OSError):
            self._held = await asyncio.open_connection(self._address.host, self._address.port)

    async def _held_to_the_end(self) -> None:
        if self._held is None:
            await asyncio.sleep(_LOOK_EVERY_S)
            return
        with contextlib.suppress(OSError):  # a reset is an end, too
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
        """Ask what is in flight for as long as the worker takes connections."""
        while (reply := await self._ask("/metrics")) is not None:
            found = _IN_FLIGHT.search(reply[1])
            if found is None:
                return
            in_flight = max(0, round(float(found[1])) - 1)  # without this question
            if in_flight != self.in_flight:
                self.in_flight = in_flight
                tell(in_flight)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _ask(self, path: str) -> tuple[int, bytes] | None:
        """Status and body of an answer; None where there is none."""
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                reply = await self._transport.get(self._address.url + path, {})
        except (LostConnectionError, UnexpectedAnswerError, TimeoutError):
            return None
        return reply.status, reply.body
