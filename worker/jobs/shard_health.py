"""Whether one Redis answers, as the metrics and the log have it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from tfleet.jobs.errors import JobsUnavailableError
from tfleet.worker.jobs.job_metrics import ShardCounts


class ShardHealth:
    """Logs once when the Redis goes away, and once when it is back."""

    def __init__(self, counts: ShardCounts, log: Any) -> None:
        self._counts = counts
        self._log = log
        self._away = False

    def __repr__(self) -> str:
        return f"<ShardHealth {self._counts.redis}{' away' if self._away else ''}>"

    def is_away(self, error: Exception) -> None:
        """It does not answer."""
        self._counts.up = False
        if not self._away:
            self._away = True
            self._log.warning("jobs unavailable, retrying", error=str(error))

    def is_back(self) -> None:
        """It has answered."""
        self._counts.up = True
        if self._away:
            self._away = False
            self._log.info("jobs available again")

    async def safely(self, step: Coroutine[Any, Any, Any]) -> None:
        """Take one step; while the Redis is away, without effect."""
        try:
            await step
        except JobsUnavailableError as error:
            self.is_away(error)
