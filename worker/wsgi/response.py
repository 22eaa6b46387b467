"""Calls a WSGI application and writes its answer as bytes of HTTP/1.1.

An answer is collected whole before any of it is sent: those of a worker are small documents. So its length is
always known, head and body go out in one write, and a connection can always be kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
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


class WsgiResponse(NamedTuple):
    """`head` has its lines with their ends, without the empty line after them: more lines may follow."""

    head: bytes
    body: bytes

    def on_wire(self, connection: tuple[bytes, ...]) -> bytes:
        """The whole answer, with the header lines about the connection."""
        return b"".join((self.head, *(line + b"\r\n" for line in connection), b"\r\n", self.body))


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
    body = written[0] if len(written) == 1 else b"".join(written)
    return _response(status, headers, body, without_body=environ["REQUEST_METHOD"] == "HEAD")


def _response(
    status: str, headers: list[tuple[str, str]], body: bytes, *, without_body: bool
) -> WsgiResponse:
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
        body = b""
    else:
        length = said_length if without_body and said_length else len(body)
        lines.append(f"Content-Length: {length}")
    lines += [_SERVER, f"Date: {_dates.now()}"]
    # One check for all of them. A line end within a value would be response splitting.
    head = "\n".join(lines)
    if head.count("\n") != len(lines) - 1 or "\r" in head:
        raise ValueError("there is a line end in a header of the answer")
    return WsgiResponse(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n", b"" if without_body else body)


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
