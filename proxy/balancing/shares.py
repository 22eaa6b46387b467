"""Which requests go to the canary: a deterministic choice in the proportion of its share.

- Sticky requests are chosen by a hash of their key, so that equal keys stay with one version, at each proxy
  and listener. As the share grows, those that have the canary keep it. Another canary gets other keys.
- All other requests take turns, so that shares are exact over any hundred of them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_ALL: Final = 100.0
_STEPS: Final = 2**64


def sticky_percentile(model: str, version: str, key: bytes) -> float:
    """Where a key is among all, 0 to 100: the canary has those below its share."""
    salt = f"{model}\n{version}\n".encode()
    digest = blake2b(salt + key, digest_size=8).digest()
    return int.from_bytes(digest) / _STEPS * _ALL


class Turns:
    """Says of each request of a sequence whether it belongs to the share."""

    def __init__(self) -> None:
        self._sum = 0.0

    def __repr__(self) -> str:
        return f"<Turns {self._sum:g}>"

    def take(self, percent: float) -> bool:
        """Whether the next request does. `percent` is 0 to 100."""
        self._sum += percent
        if self._sum < _ALL:
            return False
        self._sum -= _ALL
        return True
