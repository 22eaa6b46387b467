"""Tickets: by one a worker knows, without asking anybody, that whoever calls was sent by a proxy.

    EXPIRY.SIGNATURE    1760000060.q2xJ...

EXPIRY is in unix seconds, SIGNATURE the base64url, without padding, of HMAC-SHA256 over the service's name
and EXPIRY (RFC 2104, RFC 4648 section 5). So a ticket is text that needs no quoting in a header or a URL.

The rules:

- Whoever has a ticket may use it, at any worker of the service, as often as it likes, until it expires.
- Of two keys the first one signs and either is believed. So keys are changed without a moment at which a
  ticket that a proxy gives is not taken.
- What is compared is the text, not what it decodes to: there is one spelling of each signature.
- Nothing is said of a ticket's time before its signature is known to be good.
- A ticket that would be good for longer than tickets are is refused: a worker whose clock is behind must not
  take for fresh what has long expired. Clocks may differ by a few seconds.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

LIFETIME_S: Final = 60
"""Longer than a client keeps an address (30 s) or a lease (10 s), by the time in which it may send an image
there, or go on without a proxy.
"""
MOST_SKEW_S: Final = 10
"""By how much the clocks of a proxy and a worker may differ."""

_CONTEXT: Final = b"tfleet-ticket-1"
"""Keeps these signatures apart from anything else that the key may ever sign."""
_FORM: Final = re.compile(r"([0-9]{1,12})\.[A-Za-z0-9_-]{43}")


class TicketFault(StrEnum):
    """Why a ticket is not taken."""

    MISSING = "missing"
    MALFORMED = "malformed"
    WRONG_SIGNATURE = "wrong-signature"
    """It was altered, or signed with another key or for another service: these can't be told apart."""
    EXPIRED = "expired"
    TOO_LONG = "too-long"
    """It would be good for longer than any ticket is."""


@dataclass(frozen=True, slots=True)
class TicketKeys:
    """The secrets, one or two: the first one signs, all are believed."""

    secrets: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        assert self.secrets, "nobody could sign"


def mint(keys: TicketKeys, service: str, expires_at_s: int) -> str:
    """A ticket for the workers of a service. `expires_at_s` is in unix seconds."""
    return _signed(keys.secrets[0], service, str(expires_at_s))


def check(keys: TicketKeys, service: str, ticket: str | None, now_s: float) -> TicketFault | None:
    """Why a worker of the service does not take a ticket at `now_s` (unix seconds), if it doesn't."""
    if not ticket:
        return TicketFault.MISSING
    form = _FORM.fullmatch(ticket)
    if form is None:
        return TicketFault.MALFORMED
    expiry = form[1]
    if not any(hmac.compare_digest(ticket, _signed(secret, service, expiry)) for secret in keys.secrets):
        return TicketFault.WRONG_SIGNATURE
    left_s = int(expiry) - now_s
    if left_s < -MOST_SKEW_S:
        return TicketFault.EXPIRED
    return TicketFault.TOO_LONG if left_s > LIFETIME_S + MOST_SKEW_S else None


def _signed(secret: bytes, service: str, expiry: str) -> str:
    message = b"\0".join((_CONTEXT, service.encode(), expiry.encode()))
    signature = base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256"))
    return f"{expiry}.{signature.rstrip(b'=').decode()}"
