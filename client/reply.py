"""An HTTP answer, read to its end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import responses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers (a mapping that ignores case), body, and the URL that gave them."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> dict[str, Any] | None:
        """The JSON object in the body, None where it holds none."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    def describe(self) -> str:
        """Status and kind of content, for the message about an answer that was not expected."""
        kind = self.headers.get("Content-Type", "").partition(";")[0] or "no content type"
        return f"{self.status} {responses.get(self.status, '')}".strip() + f" ({kind})"
