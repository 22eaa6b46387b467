"""A request's body on its way to a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import StreamReader, web


class BodyTooLargeError(Exception):
    """The body is larger than the limit; what came of it until then has been sent on."""


class ClientGoneError(Exception):
    """The client went away, or broke the body's framing, before the body was complete."""


class Upload:
    """Passes the body on piece by piece, as it comes, and never holds more than one piece.

    aiohttp reports an exception out of a body as a failure of the connection to the worker, so the reason is
    kept in `error` for whoever has to tell the two apart.
    """

    def __init__(self, content: StreamReader, max_bytes: int) -> None:
        self.received_bytes = 0
        self.error: BodyTooLargeError | ClientGoneError | None = None
        self._content = content
        self._max_bytes = max_bytes

    @property
    def started(self) -> bool:
        """Whether some of the body has been read, so that it can't be sent again."""
        return self.received_bytes > 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body. Raises BodyTooLargeError and ClientGoneError."""
        try:
            async for piece in self._content.iter_any():
                self.received_bytes += len(piece)
                if self.received_bytes > self._max_bytes:
                    self.error = BodyTooLargeError()
                    raise self.error
                yield piece
        except (web.PayloadAccessError, web.RequestPayloadError, ConnectionError) as error:
            self.error = ClientGoneError(str(error))
            raise self.error from error
