"""Damages files as networks, disks and attackers do."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

_TELLING: Final = (
    0,
    1,
    2,
    4,
    8,
    16,
    32,
    0x7F,
    0x80,
    0xC0,
    0xC2,
    0xC4,
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xDD,
    0xE1,
    0xFE,
    0xFF,
)
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_RESEALED: Final = 0.7
_SWOLLEN: Final = 0.02
_HEAD: Final = 600  # most of what a decoder decides upon stands in the first bytes


def mutated(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """The file after one to eight mutations; `others` are files that parts may come from."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        if not out:
            break
        mutation = _swell if random.random() < _SWOLLEN else random.choice(_MUTATIONS)
        mutation(out, others, random)
    if out.startswith(_PNG) and random.random() < _RESEALED:
        _reseal(out)
    return bytes(out)


def _reseal(png: bytearray) -> None:
    """Make the checksums of a PNG's chunks right again, so that what stands in them is looked at."""
    start = len(_PNG)
    while start + 12 <= len(png):
        end = start + 8 + int.from_bytes(png[start : start + 4], "big")
        if end + 4 > len(png):
            break
        png[end : end + 4] = zlib.crc32(png[start + 4 : end]).to_bytes(4, "big")
        start = end + 4


def _place(out: bytearray, random: Random) -> int:
    return random.randrange(min(len(out), random.choice((40, _HEAD, len(out)))))


def _flip(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    out[_place(out, random)] ^= 1 << random.randrange(8)


def _set(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    out[_place(out, random)] = random.choice(_TELLING)


def _number(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Two or four bytes become a length that is nothing, next to it, or far beyond."""
    start, size = _place(out, random), random.choice((2, 4))
    value = random.choice((0, 1, 255, 4096, 65_535, 2**31 - 1, 2**32 - 1)) % 256**size
    out[start : start + size] = value.to_bytes(size, random.choice(("big", "little")))


def _cut(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    del out[_place(out, random) :]


def _remove(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    start = _place(out, random)
    del out[start : start + random.choice((1, 2, 16, 300))]


def _repeat(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    start = _place(out, random)
    part = out[start : start + random.choice((1, 4, 12, 200))]
    out[start:start] = part * random.choice((1, 2, 50, 2_000))


def _insert(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    start = _place(out, random)
    out[start:start] = random.choice(
        (b"\xff", b"\0", b"\xff\xda", b"\xff\xd9", random.randbytes(9))
    ) * random.choice((1, 99))


def _swell(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Up to a megabyte of one thing: fill, zeros, empty segments, chunks or blocks."""
    start = _place(out, random)
    thing = random.choice(
        (b"\xff", b"\0", b"\xff\xfe\0\2", b"\0\0\0\0tEXt\x9a\x2c\x27\x37", b"!\xfe\1a\0", b"\xff\0")
    )
    out[start:start] = thing * (random.choice((10_000, 100_000, 1_000_000)) // len(thing))


def _splice(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    other = random.choice(others)
    start, place = random.randrange(len(other)), _place(out, random)
    out[place : place + random.choice((0, 50))] = other[start : start + random.choice((4, 100, 5_000))]


_MUTATIONS: Final[tuple[Callable[[bytearray, Sequence[bytes], Random], None], ...]] = (
    _flip,
    _flip,
    _set,
    _set,
    _number,
    _cut,
    _remove,
    _repeat,
    _insert,
    _splice,
)
