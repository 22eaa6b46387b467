"""One row of the figures: what was sent in a part of a scenario, and whether all of it was answered right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SLACK: float = 2.0
"""How far a version's share may be from the planned one, in points of percent."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What came of `requests`. `versions` counts the right answers.

    `wanted` are the planned shares in percent: any other version must answer nothing. Without any, shares
    don't matter. `broken` is what else did not hold, empty if all did.
    """

    name: str
    requests: int
    failed: int
    versions: Mapping[str, int]
    slowest_ms: float
    wanted: Mapping[str, float] = field(default_factory=dict)
    slack: float = SLACK
    note: str = ""
    broken: str = ""
    failures: tuple[str, ...] = ()

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of each version that answered, in percent."""
        total = sum(self.versions.values()) or 1
        return {version: 100 * count / total for version, count in sorted(self.versions.items())}

    @property
    def problem(self) -> str:
        """What does not hold; empty if all does."""
        if self.failed:
            return f"{self.failed} failed: {', '.join(self.failures[:1])}"
        if self.broken:
            return self.broken
        if not self.versions:
            return "nothing was answered"
        versions = self.wanted.keys() | self.versions.keys() if self.wanted else ()
        for version in sorted(versions):
            wanted, found = self.wanted.get(version, 0.0), self.shares.get(version, 0.0)
            # None at all where none is planned: a share of 0 or 100 % is exact.
            slack = self.slack if 0 < wanted < 100 else 0.0
            if abs(found - wanted) > slack:
                return f"version {version} got {found:.2f} % instead of {wanted:g} %"
        return ""
