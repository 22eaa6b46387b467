"""What the header of an image says, before anything is decoded; and the bounds on its metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# The most segments, chunks or blocks before the pixels of an image, and their most bytes in total. A camera
# writes about ten. Profiles and depth maps take up to a few hundred segments of 64 KiB.
MAX_SEGMENTS: Final = 1_000
MAX_METADATA_BYTES: Final = 16 * 1024 * 1024

UPRIGHT: Final = 1


class HeaderError(Exception):
    """The header is damaged or exceeds a bound. The message says how, in a few words."""


class LimitExceededError(HeaderError):
    """The file may be valid, but has more of something than is allowed. The message says of what."""


class UnsupportedKindError(Exception):
    """The header is valid, but of a kind of the format that is not supported. The message names the kind."""


@dataclass(frozen=True, slots=True)
class DecodeWork:
    """What decides the cost of decoding an image, beside its number of pixels.

    `values_per_pixel`: decoded values for each pixel (3 for RGB, 1.5 for a JPEG with subsampled colours).
    `passes`: how often the decoder goes over all values (more than once for a progressive JPEG).
    `buffers_coefficients`: whether it holds all values until the end.
    `coding`: which of the format's codings it is, where their costs differ much, such as `lossless` or `rle`.
    """

    values_per_pixel: float = 3.0
    passes: float = 1.0
    buffers_coefficients: bool = False
    coding: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """What an image's header says.

    `width` and `height` are in pixels, as stored; `orientation` is EXIF's, 1 to 8. `picture` holds the bytes
    for the decoder.
    """

    format: str
    width: int
    height: int
    picture: bytes = field(repr=False)
    orientation: int = UPRIGHT
    work: DecodeWork = DecodeWork()
    complete: bool = True
    """Whether there are enough bytes for all pixels."""

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


class Segments:
    """Counts the parts of a file before its pixels, and rejects more than the bounds allow."""

    def __init__(self) -> None:
        self._count = 0
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Segments {self._count} with {self._bytes} bytes>"

    def add(self, size: int) -> None:
        """Count one more part of `size` bytes. Raises LimitExceededError."""
        self._count += 1
        self._bytes += size
        if self._count > MAX_SEGMENTS:
            raise LimitExceededError(f"more than {MAX_SEGMENTS} segments before the picture")
        if self._bytes > MAX_METADATA_BYTES:
            raise LimitExceededError(f"more than {MAX_METADATA_BYTES} bytes of metadata before the picture")
