"""Tickets: HMAC-signed proof that a proxy sent the client. A worker checks them without asking any other
process.

    EXPIRY.SIGNATURE    1760000060.q2xJ...

EXPIRY is in Unix seconds. SIGNATURE is the unpadded base64url of HMAC-SHA256 over the service name, the model
if the ticket is for one, and EXPIRY (RFC 2104, RFC 4648 section 5). The text needs no quoting in a header or
a URL.

The rules:

- A ticket is a bearer token: it is valid at every worker of its model, any number of times, until it
  expires.
- A ticket for no model is valid at every worker of the service: for operators, and for workers of a static
  list, whose models the proxy does not know.
- With two keys the first one signs, and both verify. So keys can be rotated without rejecting valid
  tickets.
- The comparison is on the text, not on the decoded bytes: each signature has exactly one valid spelling.
- The expiry is looked at only after the signature has been verified.
- A ticket that is valid for longer than LIFETIME_S plus clock skew is rejected: a worker whose clock is
  behind must not accept expired tickets.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

LIFETIME_S: Final = 60
"""Longer than a client keeps an address (30 s) or a lease (10 s), plus the time for which it may go on using
it without a proxy.
"""
MAX_CLOCK_SKEW_S: Final = 10
"""The largest accepted difference between the clocks of a proxy and a worker."""

_SERVICE_CONTEXT: Final = b"tfleet-ticket-1"
_MODEL_CONTEXT: Final = b"tfleet-ticket-2"
"""Domain separation: no other signature made with the same key is valid as a ticket, and none of a model as
one of another service.
"""
_FORM: Final = re.compile(r"([0-9]{1,12})\.[A-Za-z0-9_-]{43}")


class TicketFault(StrEnum):
    """Why a ticket is rejected."""

    MISSING = "missing"
    MALFORMED = "malformed"
    WRONG_SIGNATURE = "wrong-signature"
    """The ticket was changed, or signed with another key or for another service or model: these look the
    same."""
    EXPIRED = "expired"
    TOO_LONG = "too-long"
    """The ticket is valid for longer than any ticket that a proxy signs."""


@dataclass(frozen=True, slots=True)
class TicketKeys:
    """One or two secrets: the first one signs, and all verify."""

    secrets: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        assert self.secrets, "no key to sign with"


def mint(keys: TicketKeys, service: str, expires_at_s: int, model: str = "") -> str:
    """Sign a ticket for the workers of a model, or without one of a service. `expires_at_s` is in Unix
    seconds.
    """
    return _signed(keys.secrets[0], service, model, str(expires_at_s))


def check(
    keys: TicketKeys, service: str, ticket: str | None, now_s: float, model: str = ""
) -> TicketFault | None:
    """Return why a worker of the service, and the model, rejects the ticket at `now_s` (Unix seconds); None
    if valid.
    """
    if not ticket:
        return TicketFault.MISSING
    form = _FORM.fullmatch(ticket)
    if form is None:
        return TicketFault.MALFORMED
    expiry = form[1]
    if not any(
        hmac.compare_digest(ticket, _signed(secret, service, each, expiry))
        for secret in keys.secrets
        for each in dict.fromkeys((model, ""))
    ):
        return TicketFault.WRONG_SIGNATURE
    left_s = int(expiry) - now_s
    if left_s < -MAX_CLOCK_SKEW_S:
        return TicketFault.EXPIRED
    return TicketFault.TOO_LONG if left_s > LIFETIME_S + MAX_CLOCK_SKEW_S else None


def _signed(secret: bytes, service: str, model: str, expiry: str) -> str:
    # The number of parts differs with the context, so no two meanings have the same bytes.
    parts = (_MODEL_CONTEXT, service, model, expiry) if model else (_SERVICE_CONTEXT, service, expiry)
    message = b"\0".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256"))
    return f"{expiry}.{signature.rstrip(b'=').decode()}"
