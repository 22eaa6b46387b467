"""Poison bodies: request bodies that crash or block workers must not reach all of them.

A body is remembered by its digest for a minute. The digest is computed only after a failed attempt, from
the body kept for retries, so that successful requests pay nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Final

REMEMBERED_S: Final = 60.0
_MAX_REMEMBERED: Final = 1024
_DIGEST_BYTES: Final = 16
_SHOWN_DIGITS: Final = 12
_BOUNDARY: Final = re.compile(rb"multipart/.*;\s*boundary=(?:\"([^\"]+)\"|([^\s;\"]+))", re.IGNORECASE)


class PoisonBodies:
    """The digests of the last minute, at most 1,024; beyond that the oldest is dropped."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until_s: dict[bytes, float] = {}

    def __repr__(self) -> str:
        return f"<PoisonBodies {len(self._until_s)}>"

    def __len__(self) -> int:
        return len(self._until_s)

    def __contains__(self, digest: object) -> bool:
        self._forget()
        return digest in self._until_s

    def add(self, digest: bytes) -> None:
        """Remember it for a minute from now."""
        self._forget()
        self._until_s.pop(digest, None)
        self._until_s[digest] = self._clock() + REMEMBERED_S
        if len(self._until_s) > _MAX_REMEMBERED:
            del self._until_s[next(iter(self._until_s))]

    def _forget(self) -> None:
        """Drop expired digests. The dictionary is ordered by expiry."""
        now_s = self._clock()
        while self._until_s and self._until_s[first := next(iter(self._until_s))] <= now_s:
            del self._until_s[first]


def body_digest(pieces: Iterable[bytes], content_type: bytes) -> bytes:
    """Return the body's digest. A multipart boundary is left out: curl and others generate a new one for each
    request.
    """
    found = _BOUNDARY.match(content_type)
    if found is not None:
        pieces = [b"".join(pieces).replace(found[1] or found[2], b"")]
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def short_digest(digest: bytes) -> str:
    """Return the digest's short form for the log."""
    return digest.hex()[:_SHOWN_DIGITS]
