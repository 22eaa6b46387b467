"""Ids of jobs: the shard's name, the time, random bytes, and a signature over them.

The signature is made with a secret that only the shard has. So an id that is signed was given out once: if
its job is no longer known, it was forgotten. Any other id never was one. Nothing is stored to tell the two
apart.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

_ID: Final = re.compile(r"([a-z0-9]{4})-([a-z2-7]{32})")
_TIME_BYTES: Final = 6
_RANDOM_BYTES: Final = 7
_TAG_BYTES: Final = 7
_SHARD_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_SHARD_CHARS: Final = 4
_PREFIX_CHARS: Final = _SHARD_CHARS + 1 + 16


@dataclass(frozen=True, slots=True)
class ShardIdentity:
    """One Redis as ids name it: its name and the secret that signs them."""

    name: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class JobId:
    """An id that has the form of one; `signed` still has to be checked against its shard."""

    text: str
    shard: str
    submitted_ms: int
    signed: bytes
    tag: bytes

    def is_of(self, identity: ShardIdentity) -> bool:
        """Whether this shard has given it out."""
        return self.shard == identity.name and hmac.compare_digest(self.tag, _tag(identity, self.signed))


def new_shard_identity() -> ShardIdentity:
    """A random identity, for a Redis that has none yet."""
    name = "".join(secrets.choice(_SHARD_LETTERS) for _ in range(_SHARD_CHARS))
    return ShardIdentity(name, secrets.token_bytes(32))


def new_job_id(identity: ShardIdentity, now_ms: int) -> str:
    """An id that nobody can guess. `now_ms` is Unix time."""
    signed = now_ms.to_bytes(_TIME_BYTES) + secrets.token_bytes(_RANDOM_BYTES)
    text = base64.b32encode(signed + _tag(identity, signed)).decode("ascii").lower()
    return f"{identity.name}-{text}"


def read_job_id(text: str) -> JobId | None:
    """Read what may be an id; None for any other text."""
    found = _ID.fullmatch(text)
    if found is None:
        return None
    raw = base64.b32decode(found[2].upper())
    signed, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
    return JobId(text, found[1], int.from_bytes(signed[:_TIME_BYTES]), signed, tag)


def id_prefix(text: str) -> str:
    """What of an id may be shown to those who may not read its answer: 80 bits of it are missing. With the
    time and 32 random bits it tells jobs apart.
    """
    return text[:_PREFIX_CHARS]


def _tag(identity: ShardIdentity, signed: bytes) -> bytes:
    return hmac.digest(identity.secret, identity.name.encode() + signed, hashlib.sha256)[:_TAG_BYTES]
