"""The workers that may answer one request: those of a version, and of the versions that stand in for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.balancing.worker_table import WorkerTable


class Candidates(Protocol):
    """Where the attempts of one request may go. A WorkerTable is one, for fleets of one model."""

    def pick(self, tried: Collection[str] = ()) -> PoolMember | None:
        """The worker for the next attempt, none of those already `tried`; None if none is left."""

    def has_other(self, tried: Collection[str]) -> bool:
        """Whether any worker is left that was not tried."""


class VersionCandidates:
    """The workers of several versions, the first version's first.

    With `canary` the first version is a canary, and gets one attempt: what has failed there, the other
    versions get next. It may be the canary that fails it, and its other workers would, too.
    """

    __slots__ = ("_canary", "_order", "_picked", "_table")

    def __init__(self, table: WorkerTable, order: Sequence[ModelVersion], *, canary: bool = False) -> None:
        self._table = table
        self._order = order
        self._canary = canary
        self._picked: frozenset[str] = frozenset()
        """The workers of the canary that were picked: they may have left the table by the next attempt."""

    def __repr__(self) -> str:
        return f"<VersionCandidates {' '.join(map('/'.join, self._order))}>"

    def pick(self, tried: Collection[str] = ()) -> PoolMember | None:
        first, order = self._order[0], self._order
        if self._canary and any(worker_id in self._picked for worker_id in tried):
            order = (*order[1:], first)
        # Workers that are only late are the last resort: another version's good ones come before them.
        for late in (False, True):
            for version in order:
                if (member := self._table.pick_of(version, tried, late=late)) is not None:
                    if self._canary and version is first:
                        self._picked |= {member.id}
                    return member
        return None

    def has_other(self, tried: Collection[str]) -> bool:
        return any(self._table.has_other_of(version, tried) for version in self._order)
