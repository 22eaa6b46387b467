"""What of a message's head goes on to the other side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from tfleet.discovery.contract import REQUEST_ID

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""What concerns one connection only: RFC 9110 section 7.6.1, and `Proxy-Connection`, still sent by some."""

# The proxy answers Expect itself; Host names the proxy, the worker is told in X-Forwarded-Host.
_NOT_SENT_ON: Final = HOP_BY_HOP | {"expect", "host"}
_NO_UTF_8: Final = re.compile("[\udc80-\udcff]")


def request_headers(
    headers: CIMultiDictProxy[str], *, peer: str | None, scheme: str, request_id: str
) -> CIMultiDict[str]:
    """The head for the worker: end-to-end headers, and who asked for what.

    `peer` is the client's IP address; it is appended to an X-Forwarded-For that came in.
    """
    sent = _end_to_end(headers, _NOT_SENT_ON)
    came_from = [*headers.getall("X-Forwarded-For", ()), *([peer] if peer else [])]
    if came_from:
        sent["X-Forwarded-For"] = ", ".join(came_from)
    sent.setdefault("X-Forwarded-Proto", scheme)
    if "Host" in headers:
        sent.setdefault("X-Forwarded-Host", headers["Host"])
    sent[REQUEST_ID] = request_id
    return sent


def response_headers(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The head for the client: the worker's without what concerned the proxy's connection to it."""
    return _end_to_end(headers, HOP_BY_HOP)


def _end_to_end(headers: CIMultiDictProxy[str], left_out: frozenset[str]) -> CIMultiDict[str]:
    left_out = left_out | _named_by_connection(headers)
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in left_out and _goes_on_unchanged(value)
    )


def _goes_on_unchanged(value: str) -> bool:
    """Whether aiohttp sends the value as it came: it leaves out bytes that are no UTF-8."""
    return value.isascii() or not _NO_UTF_8.search(value)


def _named_by_connection(headers: Mapping[str, str]) -> frozenset[str]:
    """The headers that `Connection` declares to be for this connection only."""
    values = headers.getall("Connection", ()) if isinstance(headers, CIMultiDictProxy) else ()
    return frozenset(name.strip().lower() for value in values for name in value.split(","))
