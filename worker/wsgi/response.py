"""Calls a WSGI application and writes its answer as bytes of HTTP/1.1.

An answer is collected whole before any of it is sent. So its length is always known, a connection can always
be kept, and the thread is free for the next request however slowly the client reads. A small answer goes out
in one write, with its head; response_sender.py sends a large one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from email.utils import formatdate
from types import TracebackType
from typing import Any, Final, NamedTuple

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_SERVER: Final = "Server: tfleet"
_NO_BODY: Final = ("1", "204", "304")
_CONTENT_LENGTH: Final = "content-length"
# What the server says of a connection itself: an application may not (PEP 3333).
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "trailer", "te"})


SLICE_BYTES: Final = 256 * 1024
"""The most of a large answer that is sent at once, and the largest answer that is sent in one piece."""


class WsgiResponse(NamedTuple):
    """`head` has its lines with their ends, without the empty line after them: more lines may follow.

    The body stays in the pieces that the application made, as a large one is not copied.
    """

    head: bytes
    pieces: tuple[bytes, ...]

    @property
    def is_large(self) -> bool:
        """Whether it is sent in slices."""
        return sum(map(len, self.pieces)) > SLICE_BYTES

    def whole_head(self, connection: tuple[bytes, ...]) -> bytes:
        """The head, with the header lines about the connection and the empty line."""
        return b"".join((self.head, *(line + b"\r\n" for line in connection), b"\r\n"))

    def on_wire(self, connection: tuple[bytes, ...]) -> bytes:
        """The whole answer, with the header lines about the connection."""
        return b"".join((self.whole_head(connection), *self.pieces))

    def slices(self) -> Iterator[bytes]:
        """The body in parts of about `SLICE_BYTES`, however large or small its pieces are."""
        parts: list[bytes] = []
        size_bytes = 0
        for piece in self.pieces:
            for start in range(0, len(piece), SLICE_BYTES):
                part = piece[start : start + SLICE_BYTES]
                parts.append(part)
                size_bytes += len(part)
                if size_bytes >= SLICE_BYTES:
                    yield b"".join(parts)
                    parts, size_bytes = [], 0
        if parts:
            yield b"".join(parts)


def call(application: Application, environ: dict[str, Any]) -> WsgiResponse:
    """The application's response. Raises what the application raises, and ValueError if it is invalid."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        started[:] = [(status, headers)]
        return written.append

    answer = application(environ, start_response)
    try:
        written.extend(answer)
    finally:
        if close := getattr(answer, "close", None):
            close()
    if not started:
        raise ValueError("the application has not called start_response")
    status, headers = started[0]
    return made(status, headers, tuple(written), without_body=environ["REQUEST_METHOD"] == "HEAD")


def made(
    status: str, headers: Sequence[tuple[str, str]], pieces: tuple[bytes, ...], *, without_body: bool = False
) -> WsgiResponse:
    """A response of these parts. Raises ValueError if they are invalid."""
    lines, said_length = [f"HTTP/1.1 {status}"], None
    for name, value in headers:
        known = name.lower()
        if known == _CONTENT_LENGTH:
            said_length = value
        elif known in _HOP_BY_HOP:
            raise ValueError(f"{name} is not the application's to say")
        else:
            lines.append(f"{name}: {value}")
    if status.startswith(_NO_BODY):
        pieces = ()
    else:
        length = said_length if without_body and said_length else sum(map(len, pieces))
        lines.append(f"Content-Length: {length}")
    lines += [_SERVER, f"Date: {_dates.now()}"]
    # One check for all of them. A line end within a value would be response splitting.
    head = "\n".join(lines)
    if head.count("\n") != len(lines) - 1 or "\r" in head:
        raise ValueError("there is a line end in a header of the answer")
    return WsgiResponse(
        head.replace("\n", "\r\n").encode("latin-1") + b"\r\n", () if without_body else pieces
    )


class _Dates:
    """The header Date, made once a second."""

    def __init__(self) -> None:
        self._made = (0, "")

    def now(self) -> str:
        second = int(time.time())
        made_second, text = self._made
        if made_second != second:
            text = formatdate(second, usegmt=True)
            self._made = (second, text)
        return text


_dates = _Dates()
