"""Damaged bodies: small changes of good ones, such as bugs, bad disks and attackers make."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, Final

_NUMBERS: Final = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    65_535,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64 - 1,
)
_TOKENS: Final = (
    b"NaN",
    b"-Infinity",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"0.1e-400",
    b"9" * 30,
    b"1" * 5000,
    b'"',
    b"\\",
    b"\\ud800",
    b'{"b64":"AA=="}',
    b'"G1":1,',
    b"[" * 40,
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"\n",
    b"\r",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"'descr': '|O'",
    b"(999999999999999999, 2)",
)

_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, 0, -1, 1.5, 255, 256, 2**31, 2**63, 10**30, 1e300, float("nan"), float("inf")),
    *("", "x", "1", "\ud800", [], {}, [1], [[1, 2], [3]], {"b64": "/w=="}, {"b64": 1}, {"G1": 1}),
)


class Mutator:
    """Makes a damaged body from good ones, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._ways: Sequence[Callable[[bytearray], None]] = (
            self._flip,
            self._overwrite,
            self._remove,
            self._repeat,
            self._insert,
            self._number,
            self._number,
            self._cut,
        )

    def pick(self, number: int) -> int:
        """A number from 0 to `number` - 1."""
        return self._random.randrange(number)

    def damaged(self, body: bytes, other: bytes) -> bytes:
        """A body with one, two or four changes, or the beginning of one and the end of another."""
        if self._random.random() < 0.05:
            return body[: self.pick(len(body) + 1)] + other[self.pick(len(other) + 1) :]
        found = bytearray(body)
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            self._random.choice(self._ways)(found)
        return bytes(found)

    def damaged_json(self, body: bytes) -> bytes:
        """A document that is still JSON, with one to three values of another kind, shape or range."""
        holder = [json.loads(body)]
        for _ in range(1 + self.pick(3)):
            place: Any = holder
            while True:
                keys: Any = range(len(place)) if isinstance(place, list) else list(place)
                if not keys:
                    break
                key = self._random.choice(keys)
                if not isinstance(place[key], list | dict) or self._random.random() < 0.3:
                    self._replace(place, key)
                    break
                place = place[key]
        return json.dumps(holder[0] if holder else None).encode()

    def _replace(self, place: Any, key: Any) -> None:
        way = self.pick(4)
        if way == 0:
            del place[key]
        elif way == 1:
            place[key] = [place[key]] * self._random.choice((0, 1, 2, 3))
        else:
            place[key] = copy.deepcopy(self._random.choice(_VALUES))

    def damaged_archive(self, body: bytes, other: bytes) -> bytes:
        """A zip file whose members are damaged, and their checksums right."""
        sink = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(body)) as good,
            zipfile.ZipFile(sink, "w", self._random.choice((0, 8))) as bad,
        ):
            for entry in good.namelist():
                content = good.read(entry)
                if self._random.random() < 0.7:
                    content = self.damaged(content, other)
                bad.writestr(entry, content)
        return sink.getvalue()

    def _place(self, body: bytearray) -> int:
        # Headers and metadata are at the beginning and the end.
        near = min(len(body), 600)
        where = self._random.random()
        if where < 0.5:
            return self.pick(near + 1)
        return len(body) - self.pick(near + 1) if where < 0.7 else self.pick(len(body) + 1)

    def _flip(self, body: bytearray) -> None:
        place = self._place(body)
        if place < len(body):
            body[place] ^= 1 << self.pick(8)

    def _overwrite(self, body: bytearray) -> None:
        place = self._place(body)
        body[place : place + 1] = bytes([self.pick(256)])

    def _remove(self, body: bytearray) -> None:
        place = self._place(body)
        del body[place : place + 1 + self.pick(self._random.choice((2, 9, 200)))]

    def _repeat(self, body: bytearray) -> None:
        place = self._place(body)
        part = body[place : place + 1 + self.pick(self._random.choice((2, 9, 200)))]
        body[place:place] = part * (1 + self.pick(self._random.choice((2, 3, 100))))

    def _insert(self, body: bytearray) -> None:
        place = self._place(body)
        body[place:place] = self._random.choice(_TOKENS)

    def _number(self, body: bytearray) -> None:
        number = self._random.choice(_NUMBERS)
        size = self._random.choice((1, 2, 4, 8))
        place = self._place(body) // size * size
        packed = struct.pack("<Q", number)[:size]
        body[place : place + size] = packed

    def _cut(self, body: bytearray) -> None:
        del body[self._place(body) :]
