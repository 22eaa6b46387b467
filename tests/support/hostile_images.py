"""Images that are made to cost much or to break something, each with the answers that are right.

Each one did harm once: it ended workers, held them up for many seconds, filled their memory or made a 500.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from PIL import Image

from tests.support.jpegs import after_start, jpeg, segment, with_many_scans
from tests.support.pngs import chunk, png
from tests.worker.image.headers.test_bmp import bmp

_SMALL: Final = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hostile:
    """How to make one, and the statuses that are right.

    429 is so only for what needs a decoder, and for bodies that are too large to arrive several at a time.
    """

    make: Callable[[], bytes]
    statuses: frozenset[int]

    def statuses_of(self, body: bytes) -> frozenset[int]:
        """Those that are right while other bodies arrive: all together have 48 MiB of room."""
        return self.statuses | {429} if len(body) > 16 * _MIB else self.statuses


def _saved(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def gif_with_a_frame_of(side: int) -> bytes:
    """43 bytes: a screen of one pixel and a frame of `side` x `side`."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0)
    return head + frame + b"\2\2\x4c\1\0;" + bytes(43 - len(head) - len(frame) - 6)


def _webp_of(side: int) -> bytes:
    """A lossless one of one colour: some 30 bytes, whatever its size."""
    return _saved(Image.new("RGB", (side, side)), "WEBP", lossless=True, method=0)


def _png_without_palette() -> bytes:
    data = _saved(Image.new("P", (64, 64)), "PNG")
    start = data.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    return data[:start] + data[end:]


def _png_with_a_hole() -> bytes:
    """A byte of its compressed pixels is another one; the checksum is that of before."""
    data = bytearray(_saved(_SMALL, "PNG"))
    data[data.index(b"IDAT") + 40] ^= 0xFF
    return bytes(data)


def _large_png() -> bytes:
    rows = zlib.compress(bytes(1 + 8000 * 3) * 8000)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _animation(format_name: str) -> bytes:
    frames = [Image.new("RGB", (400, 400), (number % 256, number, 0)) for number in range(200)]
    return _saved(frames[0], format_name, save_all=True, append_images=frames[1:])


def _with_size(data: bytes, width: int, height: int) -> bytes:
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def _exif_bomb() -> bytes:
    """5,000 entries that all point to the same 60 kB."""
    entries = b"".join(struct.pack("<HHII", 0x9286, 7, 60_000, 100) for _ in range(5_000))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 5_000) + entries
    return after_start(jpeg(_SMALL), segment(0xE1, exif), segment(0xE1, exif[:60_000]))


_BOUNDED: Final = frozenset({413})
_DAMAGED: Final = frozenset({400})
_READ: Final = frozenset({200})
_IN_TURN: Final = frozenset({200, 429})

HOSTILE: Final[Mapping[str, Hostile]] = {
    "a GIF's frame of 60,000 x 60,000": Hostile(lambda: gif_with_a_frame_of(60_000), _BOUNDED),
    "WebP of 64 megapixels": Hostile(lambda: _webp_of(8_000), _IN_TURN),
    "progressive JPEG of 10,000 scans": Hostile(
        lambda: with_many_scans(Image.new("RGB", (2_000, 2_000)), 10_000), _DAMAGED
    ),
    "progressive JPEG of 90 scans and 36 megapixels": Hostile(
        lambda: with_many_scans(Image.new("RGB", (6_000, 6_000)), 80), frozenset({200, 413, 429})
    ),
    "PNG of 64 megapixels": Hostile(_large_png, _IN_TURN),
    "JPEG with 28 MB of empty comments": Hostile(
        lambda: after_start(jpeg(_SMALL), segment(0xFE) * (7 * _MIB)), _DAMAGED
    ),
    "JPEG with 30 MB of 0xFF before its frame": Hostile(
        lambda: after_start(jpeg(_SMALL), b"\xff" * (30 * _MIB)), _DAMAGED
    ),
    "JPEG with 30 MB of zeros before its frame": Hostile(
        lambda: after_start(jpeg(_SMALL), bytes(30 * _MIB)), _DAMAGED
    ),
    "JPEG with 30 MB of 0xFF behind its pixels": Hostile(
        lambda: jpeg(_SMALL)[:-2] + b"\xff" * (30 * _MIB), _DAMAGED
    ),
    "progressive JPEG with 30 MB of 0xFF behind its pixels": Hostile(
        lambda: jpeg(_SMALL, progressive=True)[:-2] + b"\xff" * (30 * _MIB) + b"\xff\xd9", _DAMAGED
    ),
    "JPEG that states 64 megapixels and has none": Hostile(
        lambda: _with_size(jpeg(_SMALL), 8_000, 8_000), _DAMAGED
    ),
    "AVIF of 64 megapixels": Hostile(
        lambda: _saved(Image.new("L", (8_000, 8_000)), "AVIF", speed=10), _IN_TURN
    ),
    "JPEG with 26 MB of EXIF": Hostile(
        lambda: after_start(jpeg(_SMALL), segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 400), _DAMAGED
    ),
    "JPEG whose EXIF unpacks to 300 MB": Hostile(_exif_bomb, _READ),
    "PNG with 400,000 texts": Hostile(
        lambda: png(4, 4, chunk(b"tEXt", b"a\0b") * 400_000, grey_rows=bytes(20)), _DAMAGED
    ),
    "PNG with 26 MB of EXIF": Hostile(
        lambda: png(4, 4, chunk(b"eXIf", bytes(26 * _MIB)), grey_rows=bytes(20)), _DAMAGED
    ),
    "PNG without its palette": Hostile(_png_without_palette, _DAMAGED),
    "PNG with a hole": Hostile(_png_with_a_hole, _DAMAGED),
    "PNG whose pixels end half way": Hostile(lambda: png(64, 64, grey_rows=bytes(65 * 32)), _DAMAGED),
    "BMP of 30 MB of run lengths": Hostile(
        lambda: bmp(8_000, 8_000, 8, 1, bytes(1024) + b"\1\1" * (15 * _MIB)), _BOUNDED
    ),
    "BMP of 9 MB of run lengths": Hostile(
        lambda: bmp(8_000, 8_000, 8, 1, bytes(1024) + b"\1\1" * (9 * _MIB // 2)), frozenset({400, 413, 429})
    ),
    "animated GIF": Hostile(lambda: _animation("GIF"), _READ),
    "animated WebP": Hostile(lambda: _animation("WEBP"), _READ),
    "animated PNG": Hostile(lambda: _animation("PNG"), _READ),
}


@cache
def made(name: str) -> bytes:
    """One of them by its name. Some take a second to make, so it is kept."""
    return HOSTILE[name].make()
