"""One try: the request goes to one worker.

What comes back is passed on from the first piece of a body on, or from the end of an answer without any;
until then nothing has gone to the client, and whoever asked for the try may ask for another one.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from tfleet.httpd.http1.response import ResponseHead
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.forwarding.errors import (
    HungUpError,
    LateError,
    StaleConnectionError,
    TryFailedError,
    UnreachableError,
)
from tfleet.proxy.forwarding.replay_buffer import Upload
from tfleet.proxy.upstream.connection import WorkerConnection
from tfleet.proxy.upstream.connection_pool import WorkerConnections
from tfleet.runtime.network_errors import plain_reason

_NO_PROGRESS: Final = "makes no progress"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_MOST_JOINED_BYTES: Final = 128 * 1024


class AttemptOwner(Protocol):
    """Who has asked for a try. After `failed` and `ended` nothing more comes of it."""

    def connected(self) -> bytes:
        """There is a connection to the worker: the request's head for it is wanted."""

    def head_came(self, head: ResponseHead) -> None: ...

    def piece_came(self, head: ResponseHead, piece: bytes) -> None: ...

    def ended(self, head: ResponseHead) -> None: ...

    def failed(self, error: TryFailedError) -> None: ...

    def turn_changed(self) -> None:
        """The worker takes more of the body again, or nothing for now."""


class Attempt:
    """A try of one worker. `start` it once; it may be `drop`ped at any time.

    `waiting` is what is there of the body, to be sent first.

    `worker_since_s` is since when the worker has been waited for, on the loop's clock; None while it is the
    client's turn.
    """

    __slots__ = (
        "_asker",
        "_connecting",
        "_connection",
        "_connections",
        "_head",
        "_loop",
        "_paused",
        "_reused",
        "_unsent_bytes",
        "_upload",
        "_waiting",
        "full",
        "member",
        "worker_since_s",
    )

    def __init__(
        self,
        member: PoolMember,
        asker: AttemptOwner,
        upload: Upload,
        waiting: list[bytes],
        connections: WorkerConnections,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.member = member
        self.worker_since_s: float | None = None
        self.full = True
        """Whether it takes nothing of the body for now: there is no connection yet, or it holds enough."""
        self._asker = asker
        self._upload = upload
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

    def start(self, *, afresh: bool) -> None:
        """Send the head and all that is there of the body, at once or when there is a connection.

        `afresh` is that it has to be a new one.
        """
        connection = None if afresh else self._connections.take(self.member.instance.address)
        if connection is None:
            self._connecting = self._loop.create_task(self._connect())
        else:
            self._reused = True
            self._begin(connection)

    def send(self, piece: bytes) -> None:
        """Send a piece of the body, or have it wait for the connection."""
        if self._connection is None:
            self._waiting.append(piece)
        else:
            self._connection.send(self._framed(piece))

    def end_body(self) -> None:
        """All of the body has been sent."""
        if self._connection is not None and self._upload.chunked:
            self._connection.send(_LAST_CHUNK)

    def waits(self, since_s: float | None) -> None:
        """From now on the worker is waited for, or not."""
        self.worker_since_s = since_s
        self._unsent_bytes = self._connection.unsent_bytes() if self.full and self._connection else 0

    def has_taken_some(self) -> bool:
        """Whether the worker has taken some of what was sent since `waits`: nothing else tells of that."""
        return self._connection is not None and self._connection.unsent_bytes() < self._unsent_bytes

    def give_up(self) -> None:
        """Let it fail for being late, soon: its worker is known to be lost."""
        self._loop.call_soon(self.fail)

    def fail(self) -> None:
        """Let it fail for being late, if it is still under way."""
        if self._connection is not None or self._connecting is not None:
            had_body = self._connection is not None and self._sent_all and not self._connection.unsent_bytes()
            self.drop()
            self._asker.failed(LateError(_NO_PROGRESS, had_body=had_body))

    def pause_reading(self) -> None:
        """The client takes nothing of the answer for now."""
        self._paused = True
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """It takes more again."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume_reading()

    def drop(self) -> None:
        """End it, and with it the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    # What the connection tells.

    def head_came(self, head: ResponseHead) -> None:
        self._head = head
        self._asker.head_came(head)

    def piece_came(self, piece: bytes) -> None:
        assert self._head is not None
        self._asker.piece_came(self._head, piece)

    def answer_ended(self, *, reusable: bool) -> None:
        assert self._head is not None
        assert self._connection is not None
        connection, self._connection = self._connection, None
        if reusable and self._upload.ended and not connection.unsent_bytes():
            if self._paused:
                connection.resume_reading()
            self._connections.put(connection)
        else:
            connection.drop()
        self._asker.ended(self._head)

    def broke_off(self, reason: str, *, silently: bool, took_all: bool) -> None:
        self._connection = None
        had_body = took_all and self._sent_all
        if silently and self._reused:
            self._asker.failed(StaleConnectionError(reason, had_body=had_body))
        elif silently and had_body:
            self._asker.failed(HungUpError(reason))
        else:
            self._asker.failed(UnreachableError(reason, had_body=had_body))

    def full_now(self) -> None:
        self.full = True
        self._asker.turn_changed()

    def drained(self) -> None:
        self.full = False
        self._asker.turn_changed()

    @property
    def _sent_all(self) -> bool:
        """Whether all of the body was sent, and the connection does not say that it is full."""
        return self._upload.ended and not self.full

    async def _connect(self) -> None:
        try:
            connection = await self._connections.connect(self.member.instance.address)
        except TimeoutError:
            self._connecting = None
            self._asker.failed(LateError("no connection comes about"))
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none
            self._connecting = None
            self._asker.failed(UnreachableError(f"can't connect: {plain_reason(error)}"))
        else:
            self._connecting = None
            self._begin(connection)
            self._asker.turn_changed()

    def _begin(self, connection: WorkerConnection) -> None:
        self._connection = connection
        self.full = False
        # Head and body in one piece where the body is small: one call of the system less.
        beginning = self._asker.connected()
        if self._waiting and len(self._waiting[0]) <= _MOST_JOINED_BYTES:
            beginning += self._framed(self._waiting.pop(0))
        connection.begin(self, beginning)
        if self._paused:
            connection.pause_reading()
        for piece in self._waiting:
            self.send(piece)
        self._waiting.clear()
        if self._upload.ended:
            self.end_body()

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._upload.chunked else piece
