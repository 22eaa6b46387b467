"""Which kind of image bytes are, by their first bytes: names lie."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "image/x-unknown"
"""For bytes that none of the signatures fits. They are sent all the same: what can be read is the worker's
to say.
"""

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
_RIFF, _WEBP = slice(0, 4), slice(8, 12)
_FTYP, _BRAND = slice(4, 8), slice(8, 12)
_BRANDS: Final = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic"}


def content_type(head: bytes) -> str:
    """The media type of an image that begins with `head` (12 bytes suffice)."""
    if head[_RIFF] == b"RIFF" and head[_WEBP] == b"WEBP":
        return "image/webp"
    if head[_FTYP] == b"ftyp":
        return _BRANDS.get(head[_BRAND], UNKNOWN)
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), UNKNOWN)
