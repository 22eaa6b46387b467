"""Answers that are compressed, as `Accept-Encoding` of a request asks for.

An answer is compressed only for a client that names gzip or deflate and no other coding, as Triton's
clients do. Most libraries list several in every request, without anybody wanting to pay for them. A small
answer would hardly get smaller; a large one would take a core for more than a quarter of a second.
"""

from __future__ import annotations

import zlib
from typing import Final

LEAST_BYTES: Final = 1024
MOST_BYTES: Final = 8 * 2**20
GZIP: Final = "gzip"
DEFLATE: Final = "deflate"
_WINDOW_BITS: Final = {GZIP: 31, DEFLATE: 15}
"""How zlib is told of a format: RFC 1952, and RFC 1950, which HTTP calls deflate."""
_LEVEL: Final = 1  # a third of the time of zlib's default, and little more bytes for numbers


def encoded(content: bytes, accepted: str | None) -> tuple[bytes, str | None]:
    """The content as it is sent for this `Accept-Encoding`, and its `Content-Encoding`: None for none."""
    coding = wanted_coding(accepted) if LEAST_BYTES <= len(content) <= MOST_BYTES else None
    if coding is None:
        return content, None
    encoder = zlib.compressobj(_LEVEL, wbits=_WINDOW_BITS[coding])
    return encoder.compress(content) + encoder.flush(), coding


def wanted_coding(accepted: str | None) -> str | None:
    """The coding that a client asks for; None for none."""
    named = set()
    for each in (accepted or "").lower().split(","):
        coding, _, weight = each.partition(";")
        if not _is_zero(weight):
            named.add(coding.strip())
    named -= {"", "identity", "*"}
    return named.pop() if len(named) == 1 and named <= {GZIP, DEFLATE} else None


def _is_zero(weight: str) -> bool:
    name, _, value = weight.strip().partition("=")
    return name.strip() == "q" and bool(value.strip()) and set(value.strip()) <= {"0", "."}
