"""Answers of the proxy's own to what never goes through its application, as bytes."""

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


def own_head(status: int, headers: Mapping[str, str], length_bytes: int) -> bytes:
    """The lines of an answer's head but for those that `own_answer` adds."""
    lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    lines.append(b"Content-Length: %d" % length_bytes)
    return b"\r\n".join([*lines, b""])


def own_answer(head: bytes, body: bytes, request_id: str, *, connection: tuple[bytes, ...]) -> bytes:
    """A whole answer. `head` is what `own_head` says, and `connection` what `connection_lines` says."""
    lines = b"\r\n".join([*connection, b"", body])
    return b"%b%b: %b\r\n%b" % (head, _REQUEST_ID, request_id.encode(), lines)


def problem_answer(problem: Problem, request_id: str, *, connection: tuple[bytes, ...]) -> bytes:
    """A problem document as an answer."""
    body = problem.body()
    head = own_head(problem.status, problem.headers(), len(body))
    return own_answer(head, body, request_id, connection=connection)


def last_answer(problem: Problem, request_id: str, cors: Cors) -> bytes:
    """A problem document to what was not, or could not be, read as a request; the connection ends with it."""
    return problem_answer(problem, request_id, connection=(_CLOSE, *cors.lines(None)))


def connection_lines(head: RequestHead, *, keep: bool) -> tuple[bytes, ...]:
    """What an answer says of the connection, where it isn't what the client takes for granted."""
    if not keep:
        return (_CLOSE,)
    return (b"Connection: keep-alive",) if head.http_1_0 else ()
