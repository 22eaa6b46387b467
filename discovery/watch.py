"""Follows the list of a service's instances with blocking queries, for as long as the process lives.

The rules:

- A failed query changes nothing: the last list stays in use.
- After a failure the next query does not block (index 0): a registry that restarted may have lower indexes,
  and a blocking query with the old one would wait until its time-out.
- A registry that answers at once, over and over, is queried with back-off.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NoReturn

import structlog

from tfleet.discovery.consul.health import Health, HealthResponse
from tfleet.discovery.consul.http_client import WAIT_S, next_index
from tfleet.discovery.contact import LastContact
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.instance import RejectedEntry
from tfleet.discovery.listing import ServiceList
from tfleet.runtime.backoff import Backoff

_RETRY: Final = Backoff(first_s=0.1, cap_s=5.0)
_LOG_REJECTED_AGAIN_S: Final = 60.0
_MAX_LOGGED: Final = 5
_LOG_EVERY_FAILURES: Final = 16


class QueryResult(StrEnum):
    """What a query to the registry returned."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    EMPTY = "empty"
    """The list is empty, and was not before: the registry may have lost its state."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """The clock, and how a watch waits: for tests."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)

    async def back_off(self, failures: int) -> None:
        """Wait before the next query, after so many failures in a row."""
        await self.sleep(_RETRY.delay_s(failures, self.rng))


@dataclass(frozen=True, slots=True)
class WatchMessages:
    """What a watch logs when its queries begin to fail, and when they succeed again."""

    failed: str
    succeeded: str


async def repeat_queries(
    query: Callable[[], Awaitable[None]],
    on_failure: Callable[[], None],
    pacing: Pacing,
    log: Any,
    messages: WatchMessages,
) -> NoReturn:
    """Run one query after the other until cancelled, with back-off after failures. Logs the first of several
    failures in a row, and then every sixteenth.
    """
    failures = 0
    while True:
        try:
            await query()
        except RegistryError as error:
            failures += 1
            on_failure()
            if failures == 1 or failures % _LOG_EVERY_FAILURES == 0:
                log.warning(messages.failed, error=str(error), failures=failures)
            await pacing.back_off(failures)
        else:
            if failures:
                log.info(messages.succeeded, failures=failures)
            failures = 0


class Watch:
    """Runs blocking queries one after the other, and passes each changed list to `on_change`.

    After each query `on_check` gets whether the registry is healthy: it answers, has a leader, lists at
    least one instance, and hides none. `hint` is logged if a Consul lists nobody.

    `run` never returns. An exception from it is fatal: nothing would be discovered any more, so the owner
    must exit. The counters may be read at any time.
    """

    def __init__(
        self,
        health: Health,
        service: str,
        on_change: Callable[[ServiceList], None],
        *,
        on_check: Callable[[bool], None] = lambda healthy: None,
        hint: str = "",
        pacing: Pacing | None = None,
    ) -> None:
        self._pacing = pacing or Pacing()
        self.contact = LastContact(self._pacing.clock)
        self.results: Counter[QueryResult] = Counter()
        self.index_resets = 0
        """How often the registry's index fell, which means that the registry lost its state."""
        self._health = health
        self._service = service
        self._on_change = on_change
        self._on_check = on_check
        self._log: Any = structlog.get_logger().bind(service=service)
        self._changes = _ChangeLog(self._log, hint, self._pacing.clock)
        self._index = 0
        self._known: ServiceList | None = None
        self._unchanged_in_a_row = 0

    def __repr__(self) -> str:
        known = "nothing yet" if self._known is None else f"{len(self._known.passing)} workers"
        return f"<Watch {self._service} index={self._index} {known}>"

    async def run(self) -> None:
        """Watch until cancelled."""
        messages = WatchMessages("the registry can't be watched", "the registry is back")
        await repeat_queries(self._query, self._failed, self._pacing, self._log, messages)

    def _failed(self) -> None:
        self.contact.failed()
        # While the registry fails, no worker's absence is counted.
        self._on_check(False)
        self._index = 0  # see the rules above

    async def _query(self) -> None:
        sent = self._index
        answer = await self._health.service(self._service, sent, WAIT_S)
        if answer.has_leader:
            # Without a leader the list is usable but may be old: the age of the last contact goes on growing.
            self.contact.succeeded()
        self._changes.log_leader(answer.has_leader)
        # The index never falls while a registry keeps its state.
        self.index_resets += answer.index < sent
        self._index = next_index(sent, answer.index)
        before, now = self._known, answer.services
        if now != before:
            self._changed(answer)
        self._changes.log_rejected(now)
        # After `on_change`: absent workers are judged by the newest list. A registry that lists nobody may
        # have lost its state, so it does not count as healthy.
        self._on_check(answer.has_leader and answer.complete and bool(now.passing or now.maintained))
        if now != before:
            return
        self.results[QueryResult.UNCHANGED] += 1
        # One unchanged answer each WAIT_S is normal. Several at once mean that the registry does not block,
        # and without a pause here the watch would be a busy loop.
        self._unchanged_in_a_row += 1
        if self._unchanged_in_a_row > 1:
            await self._pacing.back_off(min(self._unchanged_in_a_row, 4))

    def _changed(self, answer: HealthResponse) -> None:
        before, now = self._known, answer.services
        lost_all = before is not None and before.passing and not (now.passing or now.maintained)
        self.results[QueryResult.EMPTY if lost_all else QueryResult.CHANGED] += 1
        # Before the callback: if it raises, the same list must not count as changed again.
        self._known = now
        self._unchanged_in_a_row = 0
        self._changes.log_list(now, embedded=answer.embedded)
        self._on_change(now)


class _ChangeLog:
    """Logs what changed in the registry, with bounded lines and without repeats."""

    def __init__(self, log: Any, hint: str, clock: Callable[[], float]) -> None:
        self._log = log
        self._hint = hint
        self._clock = clock
        self._has_leader = True
        self._rejected: tuple[RejectedEntry, ...] = ()
        self._rejected_at_s = -math.inf

    def log_list(self, services: ServiceList, *, embedded: bool) -> None:
        """Log the instances. The hint is about Consul's ACLs, which an embedded registry does not have."""
        nobody = not services.passing and not services.maintained
        hint = {"hint": self._hint} if nobody and self._hint and not embedded else {}
        maintained = [one.instance.id for one in services.maintained]
        more = {"in_maintenance": maintained} if maintained else {}
        self._log.info("workers in the registry", workers=[i.id for i in services.passing], **more, **hint)

    def log_leader(self, has_leader: bool) -> None:
        """Log that the registry lost its leader, or has one again."""
        if has_leader == self._has_leader:
            return
        self._has_leader = has_leader
        if has_leader:
            self._log.info("the registry has a leader again")
        else:
            self._log.warning("the registry has no leader: its list may be outdated, and no changes arrive")

    def log_rejected(self, services: ServiceList) -> None:
        """Log rejected entries, at most once a minute: anybody may register as many as they like."""
        if services.rejected == self._rejected:
            return
        now_s = self._clock()
        if services.rejected and now_s - self._rejected_at_s < _LOG_REJECTED_AGAIN_S:
            return
        self._rejected = services.rejected
        if not services.rejected:
            return
        self._rejected_at_s = now_s
        self._log.warning(
            "the registry lists unusable entries; `tfleet prune` removes them",
            rejected=[one.reason for one in services.rejected[:_MAX_LOGGED]],
            count=len(services.rejected),
        )
