"""A request's body on its way to a worker, kept while it may have to be sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import StreamReader, web

from tfleet.proxy.patience import Patience
from tfleet.proxy.replay_memory import ReplayMemory


class BodyTooLargeError(Exception):
    """The body is larger than the limit; what came of it until then has been sent on."""


class ClientGoneError(Exception):
    """The client went away, or broke the body's framing, before the body was complete."""


class ClientLateError(Exception):
    """The client stopped sending in the middle of the body."""


class Upload:
    """Passes the body on piece by piece as it comes, and keeps the pieces while there is memory for them.

    aiohttp reports an exception out of a body as a failure of the connection to the worker, so the reason is
    kept in `error` for whoever has to tell the two apart.
    """

    def __init__(
        self, content: StreamReader, max_bytes: int, memory: ReplayMemory, client_timeout_s: float
    ) -> None:
        self.received_bytes = 0
        self.error: BodyTooLargeError | ClientGoneError | ClientLateError | None = None
        self._content = content
        self._max_bytes = max_bytes
        self._memory = memory
        self._client_timeout_s = client_timeout_s
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        # A try that was given up may still be waiting for the next piece when the next try begins. Held for
        # the wait only: nobody ends `pieces` where the connection breaks off in the middle of it.
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Upload received={self.received_bytes} kept={self._kept_bytes}>"

    @property
    def repeatable(self) -> bool:
        """Whether all that was read is still there, so that the body can be sent from its beginning."""
        return self._kept_bytes == self.received_bytes and self.error is None

    def forget(self) -> None:
        """Give back the memory: the body won't be sent again."""
        self._memory.release(self._kept_bytes)
        self._kept.clear()
        self._kept_bytes = 0

    async def pieces(self, patience: Patience) -> AsyncIterator[bytes]:
        """The body from its beginning: what is kept, then what comes. Only while it is `repeatable`.

        Raises BodyTooLargeError, ClientGoneError and ClientLateError.
        """
        sent = 0
        while True:
            while sent < len(self._kept):
                patience.worker_turn()
                yield self._kept[sent]
                sent += 1
            patience.client_turn()
            piece = await self._next()
            patience.worker_turn()
            if not piece:
                return
            sent = len(self._kept)  # the piece is the last of them, or nothing is kept any more
            yield piece

    async def _next(self) -> bytes:
        """The next piece that comes from the client, b"" at the end."""
        try:
            async with self._reading, asyncio.timeout(self._client_timeout_s):
                piece = await self._content.readany()
        except TimeoutError as error:
            self.error = ClientLateError()
            raise self.error from error
        except (web.PayloadAccessError, web.RequestPayloadError, ConnectionError) as error:
            self.error = ClientGoneError(str(error))
            raise self.error from error
        self._keep(piece)
        self.received_bytes += len(piece)
        if self.received_bytes > self._max_bytes:
            self.error = BodyTooLargeError()
            raise self.error
        return piece

    def _keep(self, piece: bytes) -> None:
        if not self.repeatable:
            return
        if self._memory.reserve(self._kept_bytes, len(piece)):
            self._kept.append(piece)
            self._kept_bytes += len(piece)
        else:
            self.forget()
