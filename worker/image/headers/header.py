"""What is known of a picture before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# How many segments, chunks or blocks a picture may have before its pixels begin, and the bytes they may have
# together. A camera writes some ten. Profiles and depth maps come in up to a few hundred segments of 64 KiB.
MAX_SEGMENTS: Final = 1_000
MAX_METADATA_BYTES: Final = 16 * 1024 * 1024

UPRIGHT: Final = 1


class HeaderError(Exception):
    """The header is damaged or goes beyond a bound. The message says how, in a few words."""


class BoundError(HeaderError):
    """The file may be sound, but has more of something than is read. The message says of what."""


class UnreadKindError(Exception):
    """The header is sound, and says a kind of the format that is not read. The message names the kind."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header says.

    `width` and `height` are in pixels, as stored; `orientation` is EXIF's, 1 to 8. `picture` is what the
    decoder is to see. The rest is what decoding takes: `values` is how many numbers it makes for a pixel (3
    for RGB, 1.5 for a JPEG with halved colours); `passes` is how often it goes over all of them (more than
    once in a progressive JPEG); `kept` is whether it keeps them all until the end.
    """

    format: str
    width: int
    height: int
    picture: bytes = field(repr=False)
    orientation: int = UPRIGHT
    values: float = 3.0
    passes: float = 1.0
    kept: bool = False
    coding: str = ""
    """Which of the format's codings it is in, where their costs differ much, say `lossless` or `rle`."""

    complete: bool = True
    """Whether there are bytes enough for all of its pixels."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


class Segments:
    """Counts the parts of a file that stand before its pixels, and refuses what goes beyond the bounds."""

    def __init__(self) -> None:
        self._count = 0
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Segments {self._count} with {self._bytes} bytes>"

    def add(self, size: int) -> None:
        """One more of so many bytes. Raises BoundError."""
        self._count += 1
        self._bytes += size
        if self._count > MAX_SEGMENTS:
            raise BoundError(f"more than {MAX_SEGMENTS} segments before the picture")
        if self._bytes > MAX_METADATA_BYTES:
            raise BoundError(f"more than {MAX_METADATA_BYTES} bytes of metadata before the picture")
