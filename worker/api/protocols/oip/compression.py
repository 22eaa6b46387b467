"""Answers that are compressed, as `Accept-Encoding` of a request asks for."""

from __future__ import annotations

import zlib
from typing import Final

GZIP: Final = "gzip"
DEFLATE: Final = "deflate"
_WINDOW_BITS: Final = {GZIP: 31, DEFLATE: 15}
"""How zlib is told of a format: RFC 1952, and RFC 1950, which HTTP calls deflate."""
_LEVEL: Final = 1  # a third of the time of zlib's default, and little more bytes for numbers


def wanted_coding(accepted: str | None) -> str | None:
    """The coding that the client asks for; None for none.

    An answer is compressed only for a client that names gzip or deflate and no other coding, as Triton's
    clients do. Most libraries list several in every request, without anybody wanting to pay for them.
    """
    named = set()
    for each in (accepted or "").lower().split(","):
        coding, _, weight = each.partition(";")
        if not _is_zero(weight):
            named.add(coding.strip())
    named -= {"", "identity", "*"}
    return named.pop() if len(named) == 1 and named <= {GZIP, DEFLATE} else None


def compressed(content: bytes, coding: str) -> bytes:
    """The content in gzip or deflate."""
    encoder = zlib.compressobj(_LEVEL, wbits=_WINDOW_BITS[coding])
    return encoder.compress(content) + encoder.flush()


def _is_zero(weight: str) -> bool:
    name, _, value = weight.strip().partition("=")
    return name.strip() == "q" and bool(value.strip()) and set(value.strip()) <= {"0", "."}
