"""Problem documents: how every error of the fleet looks on the wire (RFC 9457)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

CONTENT_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error: `status` is the HTTP status, `detail` one line that says what was wrong and what to do.

    `retry_after_s` becomes the header Retry-After, in whole seconds. `allow` lists the methods of a 405,
    `challenge` says what a 401 asks for.
    """

    status: int
    detail: str
    retry_after_s: int | None = None
    allow: tuple[str, ...] = ()
    challenge: str = ""

    @property
    def title(self) -> str:
        """The status's own phrase, as RFC 9457 asks for the type about:blank."""
        return HTTPStatus(self.status).phrase

    def body(self) -> bytes:
        """The JSON document. `success` is false so that clients of `POST /predict` need no second rule."""
        document = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "success": False,
        }
        return json.dumps(document).encode() + b"\n"

    def headers(self) -> dict[str, str]:
        """The headers that go with it, Content-Type first."""
        headers = {"Content-Type": CONTENT_TYPE}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.allow:
            headers["Allow"] = ", ".join(self.allow)
        if self.challenge:
            headers["WWW-Authenticate"] = self.challenge
        return headers
