"""What is refused of a request's head beyond what waitress refuses.

Heads are read and answered in the thread that all connections share, so that the dearest one counts: 64 KiB
of the shortest fields take 70 ms to parse, of the shortest parameters of a query 30.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

_MOST_LINE_BYTES: Final = 8 * 1024
_MOST_FIELDS: Final = 256
_CONTINUE: Final = "100-continue"
_HOST: Final = re.compile(rb"^host:", re.IGNORECASE | re.MULTILINE)


class ExpectationFailedError(Error):  # type: ignore[misc] # waitress has no types
    """417, which waitress does not know."""

    code = 417
    reason = "Expectation Failed"


def oversize(head: bytes) -> Error | None:
    """Why a head is not even parsed, if it isn't. It is as it came, with its blank line."""
    line_bytes = head.find(b"\r\n")
    if line_bytes > _MOST_LINE_BYTES:
        return RequestHeaderFieldsTooLarge(f"its first line is over {_MOST_LINE_BYTES} bytes")
    if head.count(b"\r\n") > _MOST_FIELDS + 2:
        return RequestHeaderFieldsTooLarge(f"it has more than {_MOST_FIELDS} header fields")
    return None


def refusal(head: bytes, version: str, headers: Mapping[str, str]) -> Error | None:
    """Why a head that was parsed is refused, if it is. `headers` has waitress' names: CONTENT_LENGTH."""
    hosts = len(_HOST.findall(head))
    if hosts > 1 or (version == "1.1" and not hosts):
        return BadRequest(f"it must have one Host and has {hosts or 'none'}")
    expected = headers.get("EXPECT", _CONTINUE)
    if version == "1.1" and expected.lower() != _CONTINUE:
        return ExpectationFailedError(f"Expect: {expected[:20]!r} is not met here, only {_CONTINUE}")
    return None
