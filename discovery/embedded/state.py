"""The running registry: catalog, key-value store, timer, HTTP checks and blocking queries."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Final

from tfleet.discovery.embedded.blocking_queries import BlockingQueries
from tfleet.discovery.embedded.catalog import Catalog
from tfleet.discovery.embedded.check_targets import addresses_of
from tfleet.discovery.embedded.http_checks import HttpChecks
from tfleet.discovery.embedded.key_values import KeyValues
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.model import Node, Status
from tfleet.discovery.embedded.saved_key_values import SavedKeyValues

# At most a second, to follow a clock other than the event loop's, such as a test's; at least 10 ms, so that
# ten thousand checks that expire one after another are scanned at most a hundred times a second.
_MAX_SLEEP_S: Final = 1.0
_MIN_SLEEP_S: Final = 0.01


class RegistryState:
    """Has one timer while anything can expire, and one task for each HTTP check.

    Call `settle` after each change of the catalog. Call `open` and `close` in the event loop
    that serves it; a closed state is not opened again.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        node: Node,
        limits: RegistryLimits,
        first_index: int,
        look_up: Callable[[str, int], Iterable[str]] = addresses_of,
    ) -> None:
        self.clock = clock
        self.node = node
        self.limits = limits
        self.catalog = Catalog(limits=limits, first_index=first_index)
        self.key_values = SavedKeyValues(KeyValues(first_index), self.settle)
        self.watchers = BlockingQueries(limits.http.blocking_queries, gone_check_s=limits.http.gone_check_s)
        self.http_checks = HttpChecks(self._probed, limits, look_up)
        self._notified_indexes = (first_index, first_index)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf

    def __repr__(self) -> str:
        timer = self._timer is not None
        return f"<RegistryState {self.catalog!r} {self.key_values!r} {self.watchers!r} {timer=}>"

    def open(self) -> None:
        """Start timers and checks."""
        self._loop = asyncio.get_running_loop()
        self.http_checks.open()

    async def close(self) -> None:
        """Stop timer and checks, and answer all blocking queries as at their time-outs."""
        self._loop = None
        self._stop_timer()
        self.watchers.close()
        await self.http_checks.close()

    def advance(self) -> None:
        """Apply what has expired, so that the next read is current."""
        now = self.clock()
        if now >= self.catalog.due:
            self.catalog.expire(now)
            self.settle()

    def settle(self) -> None:
        """After a change: update the HTTP checks, wake blocking queries, set the timer."""
        self.http_checks.run_exactly(self.catalog.probes)
        indexes = (self.catalog.index, self.key_values.current.index)
        if indexes != self._notified_indexes:
            self._notified_indexes = indexes
            self.watchers.wake_waiters()
        due = self.catalog.due
        if self._loop and due < self._timer_due:
            self._stop_timer()
            self._timer_due = due
            delay_s = min(max(due - self.clock(), _MIN_SLEEP_S), _MAX_SLEEP_S)
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _probed(self, check_id: str, status: Status, output: str) -> None:
        self.catalog.probed(check_id, status, output, self.clock())
        self.settle()

    def _on_timer(self) -> None:
        self._timer, self._timer_due = None, math.inf
        self.advance()
        self.settle()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer, self._timer_due = None, math.inf
