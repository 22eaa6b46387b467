"""One attempt: the request is sent to one worker.

Nothing is sent to the client before the first piece of the response's body, or its end if it has none.
Until then the owner may start another attempt.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from tfleet.httpd.http1.response import ResponseHead
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.forwarding.errors import (
    AttemptFailedError,
    HungUpError,
    LateError,
    StaleConnectionError,
    UnreachableError,
)
from tfleet.proxy.forwarding.replay_buffer import RequestBody
from tfleet.proxy.upstream.connection import WorkerConnection
from tfleet.proxy.upstream.connection_pool import WorkerConnections
from tfleet.runtime.network_errors import plain_reason

_NO_PROGRESS: Final = "makes no progress"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_MAX_JOINED_BYTES: Final = 128 * 1024


class AttemptOwner(Protocol):
    """The owner of an attempt. After `failed` or `ended` no more callbacks follow."""

    def connected(self) -> bytes:
        """Connected to the worker: return the request head for it."""

    def head_came(self, head: ResponseHead) -> None:
        """The head of the response is there. The owner may close the attempt, to retry the request."""

    def piece_came(self, head: ResponseHead, piece: bytes) -> None:
        """The next piece of the response's body, without its framing."""

    def ended(self, head: ResponseHead) -> None:
        """The response is complete."""

    def failed(self, error: AttemptFailedError) -> None:
        """There will be no response, or no more of it."""

    def update_timeouts(self) -> None:
        """The worker can take more of the body again, or nothing for now: set the deadline anew."""


class Attempt:
    """An attempt at one worker. `start` it once; it may be closed at any time.

    `waiting` is what was received of the body so far, to be sent first. `worker_since_s` is since when the
    worker has been waited for, on the loop's clock; None while the client is waited for.
    """

    __slots__ = (
        "_bodiless",
        "_body",
        "_connecting",
        "_connection",
        "_connections",
        "_head",
        "_loop",
        "_owner",
        "_paused",
        "_reused",
        "_unsent_bytes",
        "_waiting",
        "full",
        "member",
        "worker_since_s",
    )

    def __init__(
        self,
        member: PoolMember,
        owner: AttemptOwner,
        body: RequestBody,
        waiting: list[bytes],
        connections: WorkerConnections,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.member = member
        self.worker_since_s: float | None = None
        self.full = True
        """Whether the worker takes nothing of the body for now: not connected yet, or its buffer is full."""
        self._owner = owner
        self._body = body
        self._bodiless = False
        self._connections = connections
        self._loop = loop
        self._connection: WorkerConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._reused = False
        self._paused = False
        self._waiting = waiting
        self._head: ResponseHead | None = None
        self._unsent_bytes = 0

    def __repr__(self) -> str:
        return f"<Attempt {self.member.id} since {self.worker_since_s}>"

    def start(self, *, new_connection: bool, bodiless: bool = False) -> None:
        """Send the head and the body received so far, now or when connected.

        `bodiless` is that the response has no body whatever its head says, as for HEAD.
        """
        self._bodiless = bodiless
        connection = None if new_connection else self._connections.take(self.member.instance.address)
        if connection is None:
            self._connecting = self._loop.create_task(self._connect())
        else:
            self._reused = True
            self._begin(connection)

    def send(self, piece: bytes) -> None:
        """Send a piece of the body, or keep it until connected."""
        if self._connection is None:
            self._waiting.append(piece)
        else:
            self._connection.send(self._framed(piece))

    def end_body(self) -> None:
        """The body is complete."""
        if self._connection is not None and self._body.chunked:
            self._connection.send(_LAST_CHUNK)

    def set_waiting_since(self, since_s: float | None) -> None:
        """From now on the worker is waited for (`since_s`), or the client (None)."""
        self.worker_since_s = since_s
        self._unsent_bytes = self._connection.unsent_bytes() if self.full and self._connection else 0

    def has_taken_some(self) -> bool:
        """Whether the worker has taken some of what was sent since it is waited for; no callback tells."""
        return self._connection is not None and self._connection.unsent_bytes() < self._unsent_bytes

    def time_out_soon(self) -> None:
        """Time the attempt out in the next iteration of the loop: the worker is known to be lost."""
        # Not at once: the caller is iterating over attempts, and failing starts another one.
        self._loop.call_soon(self.time_out)

    def time_out(self) -> None:
        """Fail because the worker timed out, if the attempt is still in flight."""
        if self._connection is not None or self._connecting is not None:
            # Only if the worker has the whole body can the body be the reason for its silence.
            had_body = self._connection is not None and self._sent_all and not self._connection.unsent_bytes()
            self.close()
            self._owner.failed(LateError(_NO_PROGRESS, had_body=had_body))

    def pause_reading(self) -> None:
        """The client takes nothing of the response for now."""
        self._paused = True
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """The client takes more again."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume_reading()

    def close(self) -> None:
        """End the attempt and its connection."""
        if self._connecting is not None:
            # A connection that is still being made may never come: without this its task would outlive the
            # request.
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    # Callbacks of the connection.

    def head_came(self, head: ResponseHead) -> None:
        self._head = head
        self._owner.head_came(head)

    def piece_came(self, piece: bytes) -> None:
        assert self._head is not None
        self._owner.piece_came(self._head, piece)

    def response_ended(self, *, reusable: bool) -> None:
        assert self._head is not None
        assert self._connection is not None
        connection, self._connection = self._connection, None
        # A worker may answer before it has read the whole body: the rest would be taken for the next request.
        if reusable and self._body.ended and not connection.unsent_bytes():
            if self._paused:
                connection.resume_reading()
            self._connections.put(connection)
        else:
            connection.drop()
        self._owner.ended(self._head)

    def broke_off(self, reason: str, *, silently: bool, took_all: bool) -> None:
        self._connection = None
        had_body = took_all and self._sent_all
        # The worker may have closed the idle connection before it saw the request: that is not its failure.
        if silently and self._reused:
            self._owner.failed(StaleConnectionError(reason, had_body=had_body))
        # The worker had everything and said nothing: the body may have crashed it, so a probe decides about
        # the worker.
        elif silently and had_body:
            self._owner.failed(HungUpError(reason))
        else:
            self._owner.failed(UnreachableError(reason, had_body=had_body))

    def full_now(self) -> None:
        # The connection buffers what was sent; reading the client's body on would fill the memory.
        self.full = True
        self._owner.update_timeouts()

    def drained(self) -> None:
        self.full = False
        self._owner.update_timeouts()

    @property
    def _sent_all(self) -> bool:
        """Whether the whole body was sent, and the connection's buffer is not full."""
        return self._body.ended and not self.full

    async def _connect(self) -> None:
        try:
            connection = await self._connections.connect(self.member.instance.address)
        except TimeoutError:
            self._connecting = None
            self._owner.failed(LateError("connecting timed out", ran_nothing=True))
        except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
            self._connecting = None
            self._owner.failed(UnreachableError(f"can't connect: {plain_reason(error)}", ran_nothing=True))
        else:
            self._connecting = None
            self._begin(connection)
            # From now on the worker's time runs; until here it was limited by the time-out of connecting.
            self._owner.update_timeouts()

    def _begin(self, connection: WorkerConnection) -> None:
        self._connection = connection
        self.full = False
        # A small body goes with the head in one write: one system call less.
        beginning = self._owner.connected()
        if self._waiting and len(self._waiting[0]) <= _MAX_JOINED_BYTES:
            beginning += self._framed(self._waiting.pop(0))
        connection.begin(self, beginning, bodiless=self._bodiless)
        # The client may have become full while the connection was being made.
        if self._paused:
            connection.pause_reading()
        for piece in self._waiting:
            self.send(piece)
        self._waiting.clear()
        # The end of the body may have come before the connection, and is not announced again.
        if self._body.ended:
            self.end_body()

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._body.chunked else piece
