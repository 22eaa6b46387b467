"""Follows the list of live workers for as long as the process lives."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Final

import structlog

from tfleet.discovery.consul.health import WAIT_S, Health, next_index
from tfleet.discovery.contact import LastContact
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.instance import Refused
from tfleet.discovery.listing import ServiceList
from tfleet.runtime.backoff import Backoff

_RETRY = Backoff(first_s=0.1, cap_s=5.0)
_REFUSED_AGAIN_S: Final = 60.0
_MOST_NAMED: Final = 5


class Answered(StrEnum):
    """What an answer of the registry was worth."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    EMPTY = "empty"
    """It lists nobody, though somebody was listed before: it may have lost its state."""


class Watch:
    """Blocking queries, one after the other; each list that is new goes to `on_change`, whole.

    After each query `on_heard` is told whether the registry is in order as far as can be seen from here: it
    answers, knows its leader, lists somebody, and leaves nobody out.

    A failed query changes nothing: whoever listens keeps what it knew. `run` never returns by itself. If it
    raises, the process has lost its eyes, so its owner must let the process end with it. What it counts may
    be read at any time. `hint` is what the log says to look after where a Consul lists nobody.
    """

    def __init__(
        self,
        health: Health,
        service: str,
        on_change: Callable[[ServiceList], None],
        *,
        on_heard: Callable[[bool], None] = lambda in_order: None,
        hint: str = "",
        wait_s: float = WAIT_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.contact = LastContact(clock)
        self.answers: Counter[Answered] = Counter()
        self.index_resets = 0
        """How often the registry's index fell, as it does when the registry lost its state."""
        self._health = health
        self._service = service
        self._on_change = on_change
        self._on_heard = on_heard
        self._hint = hint
        self._wait_s = wait_s
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._log: Any = structlog.get_logger().bind(service=service)
        self._index = 0
        self._known: ServiceList | None = None
        self._clock = clock
        self._refused_told: tuple[Refused, ...] = ()
        self._refused_told_s = -math.inf
        self._idle_answers = 0
        self._led = True

    def __repr__(self) -> str:
        known = "nothing yet" if self._known is None else f"{len(self._known.passing)} workers"
        return f"<Watch {self._service} index={self._index} {known}>"

    async def run(self) -> None:
        """Watch until cancelled."""
        failures = 0
        while True:
            try:
                await self._once()
            except RegistryError as error:
                failures += 1
                self.contact.failed()
                self._on_heard(False)
                self._index = 0  # a registry that failed may come back with another history
                if failures == 1 or failures % 16 == 0:
                    self._log.warning("the registry can't be watched", error=str(error), failures=failures)
                await self._sleep(_RETRY.delay_s(failures, self._rng))
            else:
                if failures:
                    self._log.info("the registry is back", failures=failures)
                failures = 0

    def _heed_leader(self, led: bool) -> None:
        """A list without a leader is of use, but no sign of health: what is known goes on growing older."""
        if led:
            self.contact.heard()
        if led != self._led:
            self._led = led
            if led:
                self._log.info("the registry has a leader again")
            else:
                self._log.warning(
                    "the registry has no leader: what it lists may be old, and nothing new comes"
                )

    async def _once(self) -> None:
        asked = self._index
        answer = await self._health.service(self._service, asked, self._wait_s)
        self._heed_leader(answer.led)
        self.index_resets += answer.index < asked
        self._index = next_index(asked, answer.index)
        before, now = self._known, answer.roll
        if now != before:
            lost_all = before is not None and before.passing and not (now.passing or now.maintained)
            self.answers[Answered.EMPTY if lost_all else Answered.CHANGED] += 1
            self._known = now
            self._idle_answers = 0
            self._tell(now, own=answer.own)
            self._on_change(now)
        self._tell_refused(now)
        self._on_heard(answer.led and answer.whole and bool(now.passing or now.maintained))
        if now != before:
            return
        self.answers[Answered.UNCHANGED] += 1
        # The same list again is normal once per wait. Over and over it is a registry that does not block:
        # then this side sets the pace.
        self._idle_answers += 1
        if self._idle_answers > 1:
            await self._sleep(_RETRY.delay_s(min(self._idle_answers, 4), self._rng))

    def _tell(self, roll: ServiceList, *, own: bool) -> None:
        """Log who is listed; the registry is the fleet's `own`, or a Consul."""
        nobody = not roll.passing and not roll.maintained
        hint = {"hint": self._hint} if nobody and self._hint and not own else {}
        maintained = [one.instance.id for one in roll.maintained]
        more = {"in_maintenance": maintained} if maintained else {}
        self._log.info("workers in the registry", workers=[i.id for i in roll.passing], **more, **hint)

    def _tell_refused(self, roll: ServiceList) -> None:
        """Log who is refused: a line of bounded length, and one a minute, whatever is registered."""
        if roll.refused == self._refused_told:
            return
        now_s = self._clock()
        if roll.refused and now_s - self._refused_told_s < _REFUSED_AGAIN_S:
            return
        self._refused_told = roll.refused
        if not roll.refused:
            return
        self._refused_told_s = now_s
        self._log.warning(
            "the registry lists what nobody is sent to; `tfleet prune` removes it",
            refused=[one.reason for one in roll.refused[:_MOST_NAMED]],
            count=len(roll.refused),
        )
