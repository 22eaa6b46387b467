"""Responses of the server's own, as bytes: small ones that are known as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from tfleet.contract.cors import Cors
from tfleet.contract.names import REQUEST_ID
from tfleet.contract.problem import Problem
from tfleet.httpd.http1.request import RequestHead

_REQUEST_ID: Final = REQUEST_ID.encode()
_CLOSE: Final = b"Connection: close"
_HEAD: Final = b"HEAD"

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The interim response that asks for a body, where the client waits with it (`Expect: 100-continue`)."""

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a body in chunks."""


def options_head() -> bytes:
    """The `local_head` of the response to `OPTIONS *`: the methods that some resource has."""
    return local_head(200, {"Allow": "GET, HEAD, OPTIONS, POST"}, 0)


def local_head(status: int, headers: Mapping[str, str], length_bytes: int) -> bytes:
    """The lines of a response's head but for those that `local_response` adds."""
    lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    lines.append(b"Content-Length: %d" % length_bytes)
    return b"\r\n".join([*lines, b""])


def local_response(
    head: bytes, body: bytes, request_id: str, *, connection: tuple[bytes, ...], method: bytes
) -> bytes:
    """A whole response to a request of `method`: without its body, but with its length, to HEAD.

    `head` is what `local_head` says, and `connection` what `connection_lines` says.
    """
    lines = b"\r\n".join([*connection, b"", b"" if method == _HEAD else body])
    return b"%b%b: %b\r\n%b" % (head, _REQUEST_ID, request_id.encode(), lines)


def local_problem(
    problem: Problem, request_id: str, *, connection: tuple[bytes, ...], method: bytes, path: str = "/"
) -> bytes:
    """A problem document as a response to a request of `method` at `path`, which has no query."""
    body = problem.body(path)
    head = local_head(problem.status, problem.headers(path), len(body))
    return local_response(head, body, request_id, connection=connection, method=method)


def problem_to(
    head: RequestHead, problem: Problem, request_id: str, *, connection: tuple[bytes, ...]
) -> bytes:
    """A problem document as a response to this request."""
    return local_problem(problem, request_id, connection=connection, method=head.method, path=head.path)


def closing_problem(problem: Problem, request_id: str, cors: Cors, path: str = "/") -> bytes:
    """A problem document to what was not, or could not be, read as a request; the connection ends with it.

    `path` is what could be read of the path.
    """
    lines = (_CLOSE, *cors.lines(None))
    return local_problem(problem, request_id, connection=lines, method=b"", path=path)


def connection_lines(head: RequestHead, *, keep: bool) -> tuple[bytes, ...]:
    """The Connection header of a response; none where it is the default of the client's HTTP version."""
    if not keep:
        return (_CLOSE,)
    return (b"Connection: keep-alive",) if head.http_1_0 else ()
