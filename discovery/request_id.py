"""Request ids: one name for a request in every log line and answer that it touches."""

from __future__ import annotations

import random
import re

# What is kept goes into logs and headers as it came, so only harmless characters and a bounded length.
_RANDOM = random.Random()  # noqa: S311 - a name, no secret; seeded by the system, anew in each process

_KEPT = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id(sent: str | None) -> str:
    """The id that the caller sent if it is 1 to 128 harmless characters, else a new one (32 hex digits)."""
    return sent if sent and _KEPT.fullmatch(sent) else f"{_RANDOM.getrandbits(128):032x}"
