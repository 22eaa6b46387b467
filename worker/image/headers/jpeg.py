"""Read a JPEG's header (ITU-T T.81): its segments, its frame and its scans.

- The bytes for the decoder have no comments and no application segments but JFIF's and Adobe's, which say how
  colours are coded.
- A decoder goes over a progressive JPEG once for each scan, so their number is bounded. Encoders write about
  ten.
- Only Huffman-coded frames of 8 bits are supported. Other frames are valid, but rare.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tfleet.worker.image.headers.exif import orientation
from tfleet.worker.image.headers.header import (
    UPRIGHT,
    DecodeWork,
    Header,
    HeaderError,
    LimitExceededError,
    Segments,
    UnsupportedKindError,
)

MAX_SCANS: Final = 100
END: Final = b"\xff\xd9"

_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SUPPORTED_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_PROGRESSIVE: Final = 0xC2
_LOSSLESS: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_ARITHMETIC: Final = frozenset({*range(0xC9, 0xD0)} - {0xCC})
_START, _END, _SCAN, _COMMENT, _EXIF = 0xD8, 0xD9, 0xDA, 0xFE, 0xE1
_APPLICATION: Final = frozenset(range(0xE0, 0xF0))
_COLOUR: Final = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
_WITHOUT_LENGTH: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
# Bytes that belong to no segment: cameras pad with a few; an attacker would send megabytes.
_MAX_STRAY: Final = 64 * 1024
# Pillow passes a run of 0xFF to libjpeg again and again, which takes seconds for megabytes.
_FILL: Final = b"\xff" * 4096
# Fill bytes may precede a marker. The pattern matches only the last 0xFF of them, which keeps the search
# linear.
_MARKER: Final = re.compile(rb"\xff([^\xff])", re.DOTALL)
# In coded data 0xFF is followed by 0 or by a restart marker.
_AFTER_SCAN: Final = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_COEFFICIENTS: Final = 64


@dataclass(frozen=True, slots=True)
class _Frame:
    """A SOF segment. `components` maps the id of each to its samples per pixel, above 0 and up to 1."""

    width: int
    height: int
    progressive: bool
    components: dict[int, float]


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment: its marker, where it begins, where the next may begin, and its body."""

    marker: int
    start: int
    end: int
    body: bytes


def read(data: bytes) -> Header:
    """Read the header of a JPEG. Raises HeaderError and UnsupportedKindError."""
    kept, exif_orientation, frame, position = [data[:2]], UPRIGHT, None, 2
    unchanged = True
    for segment in _before_pixels(data):
        if segment.marker in _FRAMES:
            # The limits are checked against one size: the decoder could take that of the other frame.
            if frame is not None:
                raise HeaderError("it has two frames")
            frame = _frame(segment)
        # Of several EXIF segments the first that turns the image counts.
        if segment.marker == _EXIF and exif_orientation == UPRIGHT:
            exif_orientation = orientation(segment.body)
        wanted = _is_wanted(segment)
        if wanted:
            kept.append(data[segment.start : segment.end])
        unchanged = unchanged and wanted and segment.start == position
        position = segment.end
    first = _next(data, position)
    if frame is None:
        raise HeaderError("it has no frame")
    if data.find(_FILL, first.end) >= 0:
        raise LimitExceededError(f"{len(_FILL)} fill bytes in a row")
    unchanged = unchanged and first.start == position
    # A file without metadata is passed on as it is: no copy of its megabytes.
    picture = data if unchanged else b"".join((*kept, memoryview(data)[first.start :]))
    header = _header(frame, _scans(data, first, frame), picture, exif_orientation)
    return replace(header, complete=_enough_bytes(frame, len(data) - first.end))


def _enough_bytes(frame: _Frame, coded_bytes: int) -> bool:
    """Whether `coded_bytes` can hold all blocks of a frame.

    Each block has a code of at least one bit for its first coefficient and, unless the JPEG is progressive,
    another one that ends the block.
    """
    blocks = frame.width * frame.height * sum(frame.components.values()) / _COEFFICIENTS
    return coded_bytes * 8 >= blocks * (1 if frame.progressive else 2)


def _header(frame: _Frame, scans: list[tuple[int, ...]], picture: bytes, exif_orientation: int) -> Header:
    values = sum(frame.components.values())
    values_in_scans = sum(frame.components.get(id_, 0) for scan in scans for id_ in scan)
    return Header(
        "JPEG",
        frame.width,
        frame.height,
        picture,
        orientation=exif_orientation,
        work=DecodeWork(
            values,
            passes=values_in_scans / values,
            # A sequential JPEG in several scans is buffered as well: its colours come one after the other.
            buffers_coefficients=frame.progressive or len(scans) > 1,
        ),
    )


def _before_pixels(data: bytes) -> Iterator[_Segment]:
    """The segments before the first scan. Raises HeaderError."""
    segments, position, stray = Segments(), 2, 0
    while (segment := _next(data, position)).marker != _SCAN:
        # The stray bytes are summed: many gaps that are each below the limit cost as much as one large gap.
        stray += segment.start - position
        if stray > _MAX_STRAY:
            raise LimitExceededError(f"more than {_MAX_STRAY} bytes between its segments")
        if segment.marker == _END:
            raise HeaderError("it ends before a picture begins")
        segments.add(len(segment.body))
        yield segment
        position = segment.end


def lacks_scans(picture: bytes) -> bool:
    """Whether a JPEG without its end marker lacks whole scans: it would decode to a blurred image."""
    position, frame = 2, None
    for segment in _before_pixels(picture):
        frame = _frame(segment) if segment.marker in _FRAMES else frame
        position = segment.end
    assert frame is not None, "read() has seen it"
    segment = _next(picture, position)
    missing = {id_: [True] * _COEFFICIENTS for id_ in frame.components}
    while True:
        ids, (first, last, precision) = _scan_components(segment), segment.body[-3:]
        for id_ in ids:
            for number in range(first, min(last, _COEFFICIENTS - 1) + 1):
                if id_ in missing:
                    # In a progressive JPEG the low 4 bits count the bits that a later scan still has to
                    # bring.
                    missing[id_][number] = bool(frame.progressive and precision & 15)
        try:
            segment = _next_scan(picture, segment.end)
        except HeaderError:
            break
    return any(any(numbers) for numbers in missing.values())


def without_end_marker(picture: bytes) -> bytes:
    """A JPEG without the end marker after its last scan, and without the bytes after it."""
    position = 2
    for segment in _before_pixels(picture):
        position = segment.end
    segment = _next(picture, position)
    # Walking the scans finds the right marker: a thumbnail in the metadata has an end marker of its own.
    while True:
        try:
            segment = _next_scan(picture, segment.end)
        except HeaderError:
            end = picture.find(END, segment.end)
            return picture if end < 0 else picture[:end]


def _next(
    data: bytes, position: int, pattern: re.Pattern[bytes] = _MARKER, within: int = _MAX_STRAY
) -> _Segment:
    """The next segment, which has to begin `within` so many bytes. Raises HeaderError where there is none."""
    # The bounded search keeps a file of megabytes without a marker from costing more than this window.
    found = pattern.search(data, position, position + within)
    if found is None:
        if len(data) - position >= within:
            raise LimitExceededError(f"more than {within} bytes between its segments")
        raise HeaderError("it ends before a picture begins")
    marker, start, end = found[1][0], found.start(), found.end()
    if marker in _WITHOUT_LENGTH or marker in {_START, _END}:
        return _Segment(marker, start, end, b"")
    length = int.from_bytes(data[end : end + 2], "big")
    if length < 2 or end + length > len(data):  # noqa: PLR2004 - it counts itself
        raise HeaderError("a segment before the picture is broken or cut off")
    return _Segment(marker, start, end + length, data[end + 2 : end + length])


def _is_wanted(segment: _Segment) -> bool:
    if segment.marker in _APPLICATION:
        return segment.marker in _COLOUR and segment.body.startswith(_COLOUR[segment.marker])
    return segment.marker != _COMMENT and segment.marker not in _WITHOUT_LENGTH and segment.marker != _START


def _frame(segment: _Segment) -> _Frame:
    marker, body = segment.marker, segment.body
    if marker in _ARITHMETIC or marker in _LOSSLESS or marker not in _SUPPORTED_FRAMES:
        raise UnsupportedKindError(f"{_kind(marker)} JPEG")
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:  # noqa: PLR2004 - precision, size, number of components
        raise HeaderError("its frame is broken")
    if body[0] != 8:  # noqa: PLR2004 - bits
        raise UnsupportedKindError(f"JPEG with {body[0]} bits a sample (instead of 8)")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    sampling = {body[i]: (body[i + 1] >> 4) * (body[i + 1] & 15) for i in range(6, len(body), 3)}
    if not width or not height or not sampling or len(sampling) != body[5] or 0 in sampling.values():
        raise HeaderError("its frame is broken")
    # Factors count relative to the largest: a frame of one component with 2 x 2 has one sample per pixel.
    largest = max(sampling.values())
    samples_per_pixel = {id_: factor / largest for id_, factor in sampling.items()}
    return _Frame(width, height, marker == _PROGRESSIVE, samples_per_pixel)


def _kind(marker: int) -> str:
    coding = "arithmetic-coded" if marker in _ARITHMETIC else ""
    process = "lossless" if marker in _LOSSLESS else ""
    return " ".join(filter(None, (coding, process))) or "hierarchical"


def _scan_components(segment: _Segment) -> tuple[int, ...]:
    body = segment.body
    if not body or len(body) != 4 + 2 * body[0] or not body[0]:
        raise HeaderError("a scan's header is broken")
    return tuple(body[1 : 1 + 2 * body[0] : 2])


def _scans(data: bytes, first: _Segment, frame: _Frame) -> list[tuple[int, ...]]:
    """The ids of the components in each scan. Raises HeaderError."""
    scans = [_scan_components(first)]
    # The usual photograph has one scan with everything: searching megabytes of it for another is not needed.
    if not frame.progressive and len(scans[0]) == len(frame.components):
        return scans
    segment = first
    while True:
        try:
            segment = _next_scan(data, segment.end)
        except HeaderError:
            return scans  # no more scans; the decoder finds out whether that is too early
        scans.append(_scan_components(segment))
        if len(scans) > MAX_SCANS:
            raise LimitExceededError(f"more than {MAX_SCANS} scans")


def _next_scan(data: bytes, position: int) -> _Segment:
    """The header of the next scan. Raises HeaderError where there is none."""
    segments = Segments()
    while (segment := _next(data, position, _AFTER_SCAN, len(data))).marker != _SCAN:
        if segment.marker == _END:
            raise HeaderError("no more scans")
        segments.add(len(segment.body))
        position = segment.end
    return segment
