"""Request ids: one id for a request in every log line and response."""

from __future__ import annotations

import os
import random
import re

_RANDOM = random.Random()  # noqa: S311 - a name, no secret
# Without a new seed all children of a forking server would generate the same ids.
os.register_at_fork(after_in_child=_RANDOM.seed)

# Accepted ids go into logs and headers unchanged: only harmless characters, and a bounded length.
_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id(sent: str | None) -> str:
    """Return the id that the caller sent if it is 1 to 128 harmless characters; otherwise a new one, 32 hex
    digits.
    """
    return sent if sent and _ACCEPTED.fullmatch(sent) else f"{_RANDOM.getrandbits(128):032x}"
