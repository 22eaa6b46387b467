"""The heads of a request for a page: what is refused by it, the one for the application, and the one of its
response back to the client.
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs

from tfleet.contract.names import REQUEST_ID, REQUEST_TIMEOUT_MS
from tfleet.contract.problem import Problem
from tfleet.httpd.http1.expect import unmet_expectation
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.http1.response import ResponseHead
from tfleet.proxy.problems import body_too_large

_NO_LENGTH: Final = frozenset({204, 304})
_CHUNKED: Final = b"Transfer-Encoding: chunked"
_REQUEST_ID: Final = REQUEST_ID.encode()
_TIMEOUT_MS: Final = REQUEST_TIMEOUT_MS.encode()
_METHODS: Final = frozenset(method.encode() for method in hdrs.METH_ALL)
_OLD_WEBSOCKET: Final = b"sec-websocket-key1:"
"""Of a draft of WebSocket. aiohttp refuses requests that have it."""


def page_refusal(head: RequestHead, max_body_bytes: int) -> Problem | None:
    """Why a request is refused before the application sees it, as a worker refuses it; or None."""
    if head.method not in _METHODS:
        allow = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST)
        method = head.method.decode("ascii")
        return Problem(405, f"method {method} is not supported: use GET or POST", allow=allow)
    if (unmet := unmet_expectation(head)) is not None:
        return unmet
    return body_too_large(max_body_bytes) if head.length_bytes > max_body_bytes else None


def page_request_head(head: RequestHead, own_address: str, peer: str | None, request_id: str) -> bytes:
    """The head for the application.

    A client that names no host, as in HTTP/1.0, is taken to mean the proxy's own address: aiohttp wants one.
    `peer` is the client's IP address; it is appended to an X-Forwarded-For that came in.
    """
    lines = [b"Host: " + (head.host or own_address.encode()), _REQUEST_ID + b": " + request_id.encode()]
    forwarded = head.fields.values.get(b"x-forwarded-for", [])
    if peer is not None:
        forwarded = [*forwarded, peer.encode()]
    lines += [_TIMEOUT_MS + b": " + value for value in head.fields.values.get(_TIMEOUT_MS.lower(), [])]
    if forwarded:
        lines.append(b"X-Forwarded-For: " + b", ".join(forwarded))
    lines.append(_CHUNKED if head.chunked else b"Content-Length: %d" % head.length_bytes)
    passed_on = (line for line in head.fields.lines if not line.lower().startswith(_OLD_WEBSOCKET))
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (head.method, head.target, _with_ends([*lines, *passed_on]))


def page_response_head(
    response: ResponseHead, *, request_id: str, connection: tuple[bytes, ...], chunked: bool
) -> bytes:
    """The head for the client: the application's, without what concerned the connection to it.

    `connection` are lines about the client's own connection; `chunked` is how the client gets the body.
    """
    lines = [*response.fields.lines, _REQUEST_ID + b": " + request_id.encode(), *connection]
    length_bytes = response.fields.first(b"content-length")
    if chunked:
        lines.append(_CHUNKED)
    elif length_bytes is not None and response.status not in _NO_LENGTH:
        lines.append(b"Content-Length: " + length_bytes)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (response.status, response.reason, _with_ends(lines))


def _with_ends(lines: list[bytes]) -> bytes:
    return b"\r\n".join([*lines, b""])
