"""One connection to a server. It sends ready-made requests and reads only the status and the length of a
response, so that the load takes little CPU time from the server that is measured.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and when the last byte of the request had gone, the answer's head and its end had come."""

    status: int
    sent_s: float
    head_s: float
    done_s: float


class Connection(asyncio.Protocol):
    """A connection that has one request in flight at a time."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._asked: asyncio.Future[Answer] | None = None
        self._sent_s = self._head_s = 0.0
        self._head = b""
        self._left = 0

    @classmethod
    async def open(cls, url: str) -> Connection:
        """Open a connection to the server of a URL. Raises OSError."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(cls, parts.hostname, parts.port))[1]

    async def send(self, request: bytes) -> Answer:
        """Send a request. Raises ConnectionError if the connection ends before the response."""
        assert self._transport is not None
        if self.closed:
            raise ConnectionResetError("the connection has ended")
        self._asked = asyncio.get_running_loop().create_future()
        self._head, self._left, self._sent_s, self._head_s = b"", 0, 0.0, 0.0
        self._transport.write(request)
        if not self._transport.get_write_buffer_size():
            self._sent_s = time.perf_counter()
        return await self._asked

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(0)  # so that `resume_writing` says when all has gone
        self._transport = transport

    def resume_writing(self) -> None:
        self._sent_s = time.perf_counter()

    def data_received(self, data: bytes) -> None:
        if self._asked is None or self._asked.done():
            self.close()  # an answer to nothing
            return
        if self._head_s:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(_END)
            if end < 0:
                return
            self._head_s = time.perf_counter()
            found = _LENGTH.search(self._head, 0, end + 2)
            self._left = (int(found[1]) if found else 0) - (len(self._head) - end - len(_END))
        if self._left <= 0:
            self.closed = _CLOSE.search(self._head) is not None
            status = int(self._head[9:12])
            # An answer may overtake the end of its request.
            sent_s = self._sent_s or self._head_s
            self._asked.set_result(Answer(status, sent_s, self._head_s, time.perf_counter()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(ConnectionResetError("the connection ended before its answer"))
