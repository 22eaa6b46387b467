"""How many different bodies a worker has failed on in a row, while it went on saying that it is ready."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

MOST: Final = 3
"""One body may be at fault, and two may be. With so many it is the worker."""


class FailureCount:
    """Counts for each worker the different bodies since its last answer."""

    def __init__(self) -> None:
        self._bodies: dict[str, set[Hashable]] = {}

    def __repr__(self) -> str:
        return f"<FailureCount {len(self._bodies)} workers>"

    def struck(self, worker_id: str, body: Hashable) -> bool:
        """Count this body; whether there are enough of them. Then the count begins anew."""
        bodies = self._bodies.setdefault(worker_id, set())
        bodies.add(body)
        if len(bodies) < MOST:
            return False
        self.forget(worker_id)
        return True

    def forget(self, worker_id: str) -> None:
        """It has answered, or is gone."""
        self._bodies.pop(worker_id, None)
