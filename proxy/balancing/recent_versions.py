"""The versions whose last worker has left a moment ago: it is probably being restarted.

A worker that drains leaves the registry, so its proxy does not know it any more. For a minute a request that
names its model or version gets 503, and is tried again, and not the 404 of a name that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from tfleet.proxy.balancing.versions import ModelVersion, Wanted

_RECENT_S: Final = 60.0
_MOST: Final = 200
"""Names come from the registry: of more that left at once, the others are forgotten."""


class RecentVersions:
    """Remembers versions that are gone. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._there: frozenset[ModelVersion] = frozenset()
        self._gone_s: dict[ModelVersion, float] = {}

    def __repr__(self) -> str:
        return f"<RecentVersions gone={len(self._gone_s)}>"

    def update(self, there: Collection[ModelVersion]) -> None:
        """These are the versions that workers have from now on."""
        now_s, before, self._there = self._clock(), self._there, frozenset(there)
        left = dict.fromkeys(before - self._there, now_s)
        kept = {version: gone_s for version, gone_s in self._gone_s.items() if version not in self._there}
        newest = sorted({**kept, **left}.items(), key=lambda item: item[1], reverse=True)
        self._gone_s = {version: gone_s for version, gone_s in newest[:_MOST] if now_s - gone_s < _RECENT_S}

    def has(self, wanted: Wanted) -> bool:
        """Whether what a request names has left a moment ago."""
        now_s = self._clock()
        return any(
            version.model == wanted.model
            and wanted.version in {None, version.version}
            and now_s - gone_s < _RECENT_S
            for version, gone_s in self._gone_s.items()
        )
