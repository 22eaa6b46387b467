"""The versions whose last worker has left a moment ago: it is probably being restarted.

A worker that drains leaves the registry, so its proxy does not know it any more. For a minute a request that
names its model or version gets 503, and is tried again, and not the 404 of a name that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tfleet.proxy.balancing.versions import ModelVersion, Wanted

_RECENT_S: Final = 60.0
_MOST: Final = 200
"""Names come from the registry: of more, the first that left are forgotten."""


class RecentVersions:
    """Remembers the versions of workers that have left. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left_s: dict[ModelVersion, float] = {}

    def __repr__(self) -> str:
        return f"<RecentVersions {len(self._left_s)}>"

    def add(self, version: ModelVersion) -> None:
        """A worker of this version has left."""
        self._left_s.pop(version, None)  # the latest is the last one
        self._left_s[version] = self._clock()
        if len(self._left_s) > _MOST:
            del self._left_s[next(iter(self._left_s))]

    def now(self) -> tuple[ModelVersion, ...]:
        """Those of which a worker has left a moment ago. Another worker may have come since."""
        now_s = self._clock()
        return tuple(version for version, left_s in self._left_s.items() if now_s - left_s < _RECENT_S)

    def has(self, wanted: Wanted) -> bool:
        """Whether a worker of what a request names has left a moment ago."""
        return any(
            version.model == wanted.model and (wanted.version is None or wanted.has_version(version.version))
            for version in self.now()
        )
