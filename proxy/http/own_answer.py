"""Answers of the proxy's own to what never goes through its application, as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from tfleet.discovery.contract import REQUEST_ID
from tfleet.discovery.problem import Problem
from tfleet.proxy.http.request_head import RequestHead


def own_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, connection: tuple[bytes, ...]
) -> bytes:
    """A whole answer. `connection` is what `connection_lines` says."""
    lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, *connection, b"", body])


def problem_answer(problem: Problem, request_id: str, *, connection: tuple[bytes, ...]) -> bytes:
    """A problem document as an answer."""
    headers = problem.headers() | {REQUEST_ID: request_id}
    return own_answer(problem.status, headers, problem.body(), connection=connection)


def connection_lines(head: RequestHead | None, *, keep: bool) -> tuple[bytes, ...]:
    """What an answer says of the connection, where it isn't what the client takes for granted."""
    if not keep:
        return (b"Connection: close",)
    return (b"Connection: keep-alive",) if head is not None and head.http_1_0 else ()
