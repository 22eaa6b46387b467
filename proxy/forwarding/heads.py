"""Heads of forwarded messages: which header fields pass, and which are replaced."""

from __future__ import annotations

from typing import Final

from tfleet.contract.cors import without_cors_headers
from tfleet.contract.names import QUEUE_LENGTH, REQUEST_ID, REQUEST_TIMEOUT_MS, RETRIES, TICKET, WORKER
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.http1.response import ResponseHead

_NO_CONTENT: Final = 204
_HTTP: Final = (b"http",)
_REQUEST: Final = b"\r\n".join(
    [
        b"%b %b HTTP/1.1",
        b"%b",
        b"%bX-Forwarded-Proto: %b",
        REQUEST_ID.encode() + b": %b",
        REQUEST_TIMEOUT_MS.encode() + b": %d",
        b"%b",
        b"",
        b"",
    ]
)
_RESPONSE: Final = b"\r\n".join(
    [
        b"HTTP/1.1 %d %b",
        b"%b" + WORKER.encode() + b": %b",
        REQUEST_ID.encode() + b": %b",
        RETRIES.encode() + b": %d",
        b"",
        b"",
    ]
)
_CHUNKED: Final = b"Transfer-Encoding: chunked"


def worker_head(
    head: RequestHead,
    target: bytes,
    *,
    addressee: bytes,
    peer: str | None,
    request_id: str,
    left_ms: int,
    ticket: str | None,
) -> bytes:
    """Return the request head for a worker: end-to-end fields, X-Forwarded-*, and the time limit.

    `addressee` are the lines Host and X-Worker (member.py). `peer` is the client's IP address; it is
    appended to X-Forwarded-For. Expect is answered by the proxy itself. The original Host goes into
    X-Forwarded-Host. `target` is the target for the worker, `ticket` the proxy's own.
    """
    values, lines = head.fields.values, head.fields.lines
    came_from = values.get(b"x-forwarded-for", [])
    if peer is not None:
        came_from = [*came_from, peer.encode()]
    if came_from:
        lines = [*lines, b"X-Forwarded-For: " + b", ".join(came_from)]
    if asked_host := values.get(b"x-forwarded-host") or values.get(b"host"):
        lines = [*lines, b"X-Forwarded-Host: " + asked_host[0]]
    if ticket is not None:
        lines = [*lines, f"{TICKET}: {ticket}".encode()]
    return _REQUEST % (
        head.method,
        target,
        addressee,
        _with_ends(lines),
        values.get(b"x-forwarded-proto", _HTTP)[0],
        request_id.encode(),
        left_ms,
        _CHUNKED if head.chunked else b"Content-Length: %d" % head.length_bytes,
    )


def client_head(
    response: ResponseHead,
    *,
    worker: str,
    request_id: str,
    retries: int,
    connection: tuple[bytes, ...],
    cors: tuple[bytes, ...] = (),
    chunked: bool,
) -> bytes:
    """Return the response head for the client: the worker's, without the fields of its own connection.

    `connection` are lines about the client's connection; `chunked` is how the client gets the body. `cors`
    replaces the worker's CORS fields, which are for clients that call it directly.
    """
    lines = [
        *(without_cors_headers(response.fields.lines) if cors else response.fields.lines),
        *connection,
        *cors,
    ]
    queue_length, length_bytes = response.queue_length, response.fields.first(b"content-length")
    if queue_length is not None:
        lines.append(QUEUE_LENGTH.encode() + b": " + queue_length)
    if chunked:
        lines.append(_CHUNKED)
    elif length_bytes is not None and response.status != _NO_CONTENT:
        lines.append(b"Content-Length: " + length_bytes)
    return _RESPONSE % (
        response.status,
        response.reason,
        _with_ends(lines),
        worker.encode("latin-1", "replace"),
        request_id.encode(),
        retries,
    )


def _with_ends(lines: list[bytes]) -> bytes:
    return b"\r\n".join([*lines, b""])
