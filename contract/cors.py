"""CORS: which web origins may read responses (https://fetch.spec.whatwg.org/#http-cors-protocol).

- CORS is off unless the operator names origins, or `*`. If it is on, every response has the headers,
  errors included: a page that cannot read a 429 cannot wait either.
- No response allows credentials, because nothing here uses cookies or passwords.
- CORS only allows reading. Requests that a web page must not send are rejected in origin.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from tfleet.contract.names import (
    BATCH_SIZE,
    CALLBACK_URL,
    EMBEDDING,
    IDEMPOTENCY_KEY,
    JOB,
    JOB_STATE,
    JSON_LENGTH,
    MODEL,
    PROXY,
    QUEUE_LENGTH,
    REQUEST_ID,
    REQUEST_TIMEOUT_MS,
    RETRIES,
    SERVER_TIMING,
    TICKET,
    WORKER,
)
from tfleet.contract.origin import Header
from tfleet.contract.problem import Problem

ANY: Final = "*"

_ALLOW_ORIGIN: Final = "Access-Control-Allow-Origin"
_VARY: Final = "Vary"
_PER_ORIGIN: Final = {_VARY: "Origin"}
_EXPOSED: Final = {
    "Access-Control-Expose-Headers": ", ".join(
        (
            REQUEST_ID,
            WORKER,
            MODEL,
            RETRIES,
            BATCH_SIZE,
            EMBEDDING,
            QUEUE_LENGTH,
            SERVER_TIMING,
            TICKET,
            PROXY,
            JSON_LENGTH,
            JOB,
            JOB_STATE,
            "Location",
            "Retry-After",
            "Allow",
            "WWW-Authenticate",
        )
    )
}
_PREFLIGHT_HEADERS: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": ", ".join(
        (
            "Content-Type",
            REQUEST_ID,
            REQUEST_TIMEOUT_MS,
            TICKET,
            WORKER,
            JSON_LENGTH,
            IDEMPOTENCY_KEY,
            CALLBACK_URL,
        )
    ),
    "Access-Control-Max-Age": "7200",  # Chromium's upper limit
}
# Scheme, host and optional port as browsers write them. Applications have schemes too: capacitor://localhost.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_CORS_LINES: Final = (b"access-control-", b"vary: origin")


class BadOriginError(ValueError):
    """The text is not a web origin. The message is one line that says what was expected."""


@dataclass(frozen=True, slots=True)
class Cors:
    """The origins whose pages may read responses: none, some, or any (`*`)."""

    origins: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
        """Parse origins as written on the command line. Raises BadOriginError."""
        return cls(frozenset(map(_origin, texts)))

    def __bool__(self) -> bool:
        return bool(self.origins)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """Return the CORS headers of a response to a page of this origin; None if the request names no origin
        or its headers were not read.
        """
        if not self.origins:
            return {}
        if ANY in self.origins:
            return {_ALLOW_ORIGIN: ANY, **_EXPOSED}
        # The head was not read, and only one origin is allowed: it is safe to name it.
        if origin is None and len(self.origins) == 1:
            (origin,) = self.origins
        if origin not in self.origins:
            return _PER_ORIGIN
        return {_ALLOW_ORIGIN: origin, **_EXPOSED, **_PER_ORIGIN}

    def lines(self, origin: bytes | None) -> tuple[bytes, ...]:
        """Return the same headers as header lines without CRLF."""
        if not self.origins:
            return ()
        page_origin = None if origin is None else origin.decode("latin-1")
        return tuple(f"{name}: {value}".encode() for name, value in self.headers(page_origin).items())

    def preflight(self, origin: str) -> Mapping[str, str]:
        """Return the headers of the 204 that answers a preflight request of this origin; empty if it is not
        allowed.
        """
        return _PREFLIGHT_HEADERS if ANY in self.origins or origin in self.origins else {}

    def preflight_problem(self, origin: str) -> Problem | None:
        """Return the 403 that answers a preflight request of this origin; None if it is allowed."""
        if ANY in self.origins or origin in self.origins:
            return None
        return Problem(403, f"pages of {origin[:100]!r} may not read responses: see --cors-origin")


CORS_OFF: Final = Cors()
"""No origin is allowed, and no header is sent."""


def preflight_origin(method: str, header: Header) -> str | None:
    """Return the origin of a preflight request; None if the request is not a preflight."""
    if method != "OPTIONS" or header("Access-Control-Request-Method") is None:
        return None
    return header("Origin")


def without_cors_headers(lines: Sequence[bytes]) -> list[bytes]:
    """Remove CORS lines from a head, so that the proxy's own are the only ones in the response."""
    return [line for line in lines if not line.lower().startswith(_CORS_LINES)]


def _origin(text: str) -> str:
    origin = text.strip().lower()
    if origin == ANY:
        return origin
    if not _ORIGIN.fullmatch(origin):
        raise BadOriginError(
            f"{text!r} is not an origin: expected https://HOST or https://HOST:PORT, without a path, or {ANY}"
        )
    return origin.removesuffix(_DEFAULT_PORTS.get(origin.partition(":")[0], "\0"))
