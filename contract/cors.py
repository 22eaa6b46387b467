"""Which web pages' scripts may read what is answered: CORS, https://fetch.spec.whatwg.org/#http-cors-protocol.

- Off unless an operator names origins, or all of them. Then it holds for each answer, errors included: a page
  that can't read a 429 can't wait either.
- Nothing here asks for cookies or passwords, so no answer allows credentials.
- It lets pages read, and guards nothing: what a page may not even send is refused elsewhere (origin.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from tfleet.contract.names import (
    BATCH_SIZE,
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
            QUEUE_LENGTH,
            SERVER_TIMING,
            TICKET,
            PROXY,
            "Retry-After",
            "Allow",
            "WWW-Authenticate",
        )
    )
}
_MAY_BE_SENT: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": ", ".join(
        ("Content-Type", REQUEST_ID, REQUEST_TIMEOUT_MS, TICKET, WORKER)
    ),
    "Access-Control-Max-Age": "7200",  # the most that Chromium heeds
}
# A scheme, a host and perhaps a port, as browsers write them: also of applications (capacitor://localhost).
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_OWN_LINES: Final = (b"access-control-", b"vary: origin")


class BadOriginError(ValueError):
    """The text is no origin. The message is one line that says what was expected."""


@dataclass(frozen=True, slots=True)
class Cors:
    """The origins whose pages may read answers: none, some, or any."""

    origins: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
        """Of origins as people write them. Raises BadOriginError."""
        return cls(frozenset(map(_origin, texts)))

    def __bool__(self) -> bool:
        return bool(self.origins)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """What each answer has for a page of that origin; None where it is not said, or was not read."""
        if not self.origins:
            return {}
        if ANY in self.origins:
            return {_ALLOW_ORIGIN: ANY, **_EXPOSED}
        if origin is None and len(self.origins) == 1:  # there is only one that might be meant
            (origin,) = self.origins
        if origin not in self.origins:
            return _PER_ORIGIN
        return {_ALLOW_ORIGIN: origin, **_EXPOSED, **_PER_ORIGIN}

    def lines(self, origin: bytes | None) -> tuple[bytes, ...]:
        """The same as lines of a head, without their ends."""
        if not self.origins:
            return ()
        asked = None if origin is None else origin.decode("latin-1")
        return tuple(f"{name}: {value}".encode() for name, value in self.headers(asked).items())

    def preflight(self, origin: str) -> Mapping[str, str]:
        """What a browser is told that asks, before it sends, whether it may: the headers of a 204."""
        return _MAY_BE_SENT if ANY in self.origins or origin in self.origins else {}

    def refusal(self, origin: str) -> Problem | None:
        """What such a browser is told instead, if it may not."""
        if ANY in self.origins or origin in self.origins:
            return None
        return Problem(403, f"pages of {origin[:100]!r} may not read answers here: see --cors-origin")


NO_PAGES: Final = Cors()
"""Off."""


def asking_origin(method: str, header: Header) -> str | None:
    """Whose page it is for which a browser asks whether it may send; None where it is no such question."""
    if method != "OPTIONS" or header("Access-Control-Request-Method") is None:
        return None
    return header("Origin")


def without_cors(lines: Sequence[bytes]) -> list[bytes]:
    """A head's lines without what says who may read: there must be one word about it, of whoever is last."""
    return [line for line in lines if not line.lower().startswith(_OWN_LINES)]


def _origin(text: str) -> str:
    origin = text.strip().lower()
    if origin == ANY:
        return origin
    if not _ORIGIN.fullmatch(origin):
        raise BadOriginError(
            f"{text!r} is no origin: expected https://HOST or https://HOST:PORT, without a path, or {ANY}"
        )
    return origin.removesuffix(_DEFAULT_PORTS.get(origin.partition(":")[0], "\0"))
