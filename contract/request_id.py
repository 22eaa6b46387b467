"""Request ids: one name for a request in every log line and answer that it touches."""

from __future__ import annotations

import os
import random
import re

_RANDOM = random.Random()  # noqa: S311 - a name, no secret
os.register_at_fork(after_in_child=_RANDOM.seed)  # a server that forks would give all its children the same

# What is kept goes into logs and headers as it came, so only harmless characters and a bounded length.
_KEPT = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id(sent: str | None) -> str:
    """The id that the caller sent if it is 1 to 128 harmless characters, else a new one (32 hex digits)."""
    return sent if sent and _KEPT.fullmatch(sent) else f"{_RANDOM.getrandbits(128):032x}"
