"""JPEG (ITU-T T.81): its segments, its frame and its scans.

- What the decoder is to see has no application segments and no comments, but for JFIF's and Adobe's, which
  say how colours are coded.
- A progressive JPEG is gone over once for each scan, so their number is bounded. Encoders make some ten.
- Only Huffman-coded frames of 8 bits are read. The others are sound pictures of a kind that is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tfleet.worker.image.headers.exif import orientation
from tfleet.worker.image.headers.header import (
    UPRIGHT,
    BoundError,
    Header,
    HeaderError,
    Segments,
    UnreadKindError,
)

MAX_SCANS: Final = 100
END: Final = b"\xff\xd9"

_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_READ: Final = frozenset({0xC0, 0xC1, 0xC2})
_PROGRESSIVE: Final = 0xC2
_LOSSLESS: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_ARITHMETIC: Final = frozenset({*range(0xC9, 0xD0)} - {0xCC})
_START, _END, _SCAN, _COMMENT, _EXIF = 0xD8, 0xD9, 0xDA, 0xFE, 0xE1
_APPLICATION: Final = frozenset(range(0xE0, 0xF0))
_COLOUR: Final = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
_ALONE: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})  # without a length
# Bytes that belong to no segment: cameras pad with some, a stranger with megabytes.
_MAX_STRAY: Final = 64 * 1024
# Pillow feeds libjpeg a run of 0xFF again and again, which takes seconds for megabytes.
_FILL: Final = b"\xff" * 4096
# Fill bytes may stand before a marker: only the last 0xFF of them is matched, which keeps the search linear.
_MARKER: Final = re.compile(rb"\xff([^\xff])", re.DOTALL)
# In coded data 0xFF is followed by 0 or by a restart marker.
_AFTER_SCAN: Final = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_COEFFICIENTS: Final = 64


@dataclass(frozen=True, slots=True)
class _Frame:
    """Of a SOF segment: `components` gives each one's share of the pixels, by its id."""

    width: int
    height: int
    progressive: bool
    components: dict[int, float]


@dataclass(frozen=True, slots=True)
class _Part:
    """A segment: its marker, where it begins and where the next may begin, and its body."""

    marker: int
    start: int
    end: int
    body: bytes


def read(data: bytes) -> Header:
    """Raises HeaderError and UnreadKindError."""
    kept, turned, frame, position = [data[:2]], UPRIGHT, None, 2
    whole = True
    for part in _before_pixels(data):
        if part.marker in _FRAMES:
            if frame is not None:
                raise HeaderError("it has two frames")
            frame = _frame(part)
        if part.marker == _EXIF and turned == UPRIGHT:
            turned = orientation(part.body)
        wanted = _is_wanted(part)
        if wanted:
            kept.append(data[part.start : part.end])
        whole = whole and wanted and part.start == position
        position = part.end
    first = _next(data, position)
    if frame is None:
        raise HeaderError("it has no frame")
    if data.find(_FILL, first.end) >= 0:
        raise BoundError(f"{len(_FILL)} fill bytes in a row")
    whole = whole and first.start == position
    picture = data if whole else b"".join((*kept, memoryview(data)[first.start :]))
    header = _header(frame, _scans(data, first, frame), picture, turned)
    return replace(header, complete=_fills(frame, len(data) - first.end))


def _fills(frame: _Frame, coded_bytes: int) -> bool:
    """Whether so many bytes can be all blocks of a frame.

    Each has a code for its first coefficient and, but in a progressive one, another that ends it: both of a
    bit or more.
    """
    blocks = frame.width * frame.height * sum(frame.components.values()) / _COEFFICIENTS
    return coded_bytes * 8 >= blocks * (1 if frame.progressive else 2)


def _header(frame: _Frame, scans: list[tuple[int, ...]], picture: bytes, turned: int) -> Header:
    values = sum(frame.components.values())
    gone_over = sum(frame.components.get(id_, 0) for scan in scans for id_ in scan)
    return Header(
        "JPEG",
        frame.width,
        frame.height,
        picture,
        orientation=turned,
        values=values,
        passes=gone_over / values,
        kept=frame.progressive or len(scans) > 1,
    )


def _before_pixels(data: bytes) -> Iterator[_Part]:
    """The segments in front of the first scan. Raises HeaderError."""
    segments, position, stray = Segments(), 2, 0
    while (part := _next(data, position)).marker != _SCAN:
        stray += part.start - position
        if stray > _MAX_STRAY:
            raise BoundError(f"more than {_MAX_STRAY} bytes between its segments")
        if part.marker == _END:
            raise HeaderError("it ends before a picture begins")
        segments.add(len(part.body))
        yield part
        position = part.end


def lacks_scans(picture: bytes) -> bool:
    """Whether a JPEG without its end lacks whole scans: what is there is then only a blurred picture."""
    position, frame = 2, None
    for part in _before_pixels(picture):
        frame = _frame(part) if part.marker in _FRAMES else frame
        position = part.end
    assert frame is not None, "read() has seen it"
    part = _next(picture, position)
    missing = {id_: [True] * _COEFFICIENTS for id_ in frame.components}
    while True:
        ids, (first, last, precision) = _scan_components(part), part.body[-3:]
        for id_ in ids:
            for number in range(first, min(last, _COEFFICIENTS - 1) + 1):
                if id_ in missing:
                    missing[id_][number] = bool(frame.progressive and precision & 15)
        try:
            part = _next_scan(picture, part.end)
        except HeaderError:
            break
    return any(any(numbers) for numbers in missing.values())


def before_end(picture: bytes) -> bytes:
    """A JPEG without the end marker behind its last scan, and without what follows that."""
    position = 2
    for part in _before_pixels(picture):
        position = part.end
    part = _next(picture, position)
    while True:
        try:
            part = _next_scan(picture, part.end)
        except HeaderError:
            end = picture.find(END, part.end)
            return picture if end < 0 else picture[:end]


def _next(
    data: bytes, position: int, pattern: re.Pattern[bytes] = _MARKER, within: int = _MAX_STRAY
) -> _Part:
    """The next segment that begins `within` so many bytes. Raises HeaderError where there is none."""
    found = pattern.search(data, position, position + within)
    if found is None:
        if len(data) - position >= within:
            raise BoundError(f"more than {within} bytes between its segments")
        raise HeaderError("it ends before a picture begins")
    marker, start, end = found[1][0], found.start(), found.end()
    if marker in _ALONE or marker in {_START, _END}:
        return _Part(marker, start, end, b"")
    length = int.from_bytes(data[end : end + 2], "big")
    if length < 2 or end + length > len(data):  # noqa: PLR2004 - it counts itself
        raise HeaderError("a segment before the picture is broken or cut off")
    return _Part(marker, start, end + length, data[end + 2 : end + length])


def _is_wanted(part: _Part) -> bool:
    if part.marker in _APPLICATION:
        return part.marker in _COLOUR and part.body.startswith(_COLOUR[part.marker])
    return part.marker != _COMMENT and part.marker not in _ALONE and part.marker != _START


def _frame(part: _Part) -> _Frame:
    if part.marker in _ARITHMETIC or part.marker in _LOSSLESS or part.marker not in _READ:
        raise UnreadKindError(f"{_kind(part.marker)} JPEG")
    body = part.body
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:  # noqa: PLR2004 - precision, size, number of components
        raise HeaderError("its frame is broken")
    if body[0] != 8:  # noqa: PLR2004 - bits
        raise UnreadKindError(f"JPEG with {body[0]} bits a sample (8 are read)")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    sampling = {body[i]: (body[i + 1] >> 4) * (body[i + 1] & 15) for i in range(6, len(body), 3)}
    if not width or not height or not sampling or len(sampling) != body[5] or 0 in sampling.values():
        raise HeaderError("its frame is broken")
    most = max(sampling.values())
    shares = {id_: factor / most for id_, factor in sampling.items()}
    return _Frame(width, height, part.marker == _PROGRESSIVE, shares)


def _kind(marker: int) -> str:
    coding = "arithmetic-coded" if marker in _ARITHMETIC else ""
    process = "lossless" if marker in _LOSSLESS else ""
    return " ".join(filter(None, (coding, process))) or "hierarchical"


def _scan_components(part: _Part) -> tuple[int, ...]:
    body = part.body
    if not body or len(body) != 4 + 2 * body[0] or not body[0]:
        raise HeaderError("a scan's header is broken")
    return tuple(body[1 : 1 + 2 * body[0] : 2])


def _scans(data: bytes, first: _Part, frame: _Frame) -> list[tuple[int, ...]]:
    """The ids of the components in each scan. One that holds all of a sequential frame is the last."""
    scans = [_scan_components(first)]
    if not frame.progressive and len(scans[0]) == len(frame.components):
        return scans
    part = first
    while True:
        try:
            part = _next_scan(data, part.end)
        except HeaderError:
            return scans  # it ends here; whether that is too soon is for the decoder to say
        scans.append(_scan_components(part))
        if len(scans) > MAX_SCANS:
            raise BoundError(f"more than {MAX_SCANS} scans")


def _next_scan(data: bytes, position: int) -> _Part:
    """Raises HeaderError where there is none."""
    segments = Segments()
    while (part := _next(data, position, _AFTER_SCAN, len(data))).marker != _SCAN:
        if part.marker == _END:
            raise HeaderError("no more scans")
        segments.add(len(part.body))
        position = part.end
    return part
