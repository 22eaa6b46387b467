"""How many retries a proxy may send, so that a dying fleet is not hammered by those who want to help.

How often a request is tried, and with whom: the retries' rules, apart from the requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from tfleet.contract.problem import Problem
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.errors import DeclinedError, StaleConnectionError, TryFailedError
from tfleet.proxy.problems import NO_WORKER

_WINDOW_S = 10


class RetryBudget:
    """Allows retries up to a share of the requests of the last ten seconds, and some in any case.

    `share` is 0 to 1. `floor_per_s` is how many retries a second are allowed however few requests there are.
    Finagle's retry budgets work so: https://twitter.github.io/finagle/guide/Clients.html#retries
    """

    def __init__(self, share: float, floor_per_s: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._floor = floor_per_s * _WINDOW_S
        self._clock = clock
        self._second = -_WINDOW_S
        self._requests = [0] * _WINDOW_S
        self._retries = [0] * _WINDOW_S

    def __repr__(self) -> str:
        return f"<RetryBudget retries={sum(self._retries)} of {self._allowed():.0f}>"

    def request(self) -> None:
        """Count a request, its retries not included."""
        self._requests[self._now()] += 1

    def take(self) -> bool:
        """Whether one more retry is allowed; if so it is counted."""
        now = self._now()
        if sum(self._retries) + 1 > self._allowed():
            return False
        self._retries[now] += 1
        return True

    def _allowed(self) -> float:
        return self._floor + self._share * sum(self._requests)

    def _now(self) -> int:
        """The slot of this second, after those of seconds gone by were emptied."""
        second = math.floor(self._clock())
        for passed in range(max(self._second + 1, second - _WINDOW_S + 1), second + 1):
            self._requests[passed % _WINDOW_S] = self._retries[passed % _WINDOW_S] = 0
        self._second = max(second, self._second)
        return self._second % _WINDOW_S


_MOST_FAILED: Final = 5
_MOST_STALE: Final = 3
_MOST_SPOILT: Final = 2
"""Of workers that failed on one body."""


class RetryState:
    """The tries of one request. Whether its body can be sent again is the caller's to know.

    `spoilt` is that its body seems to be what workers fail on: nobody else is to get it.
    """

    __slots__ = (
        "_budget",
        "_declined",
        "_failures",
        "_fleet",
        "_stale",
        "_suspicious",
        "_tried",
        "spoilt",
        "told",
    )

    def __init__(self, fleet: WorkerTable, budget: RetryBudget) -> None:
        self._fleet = fleet
        self._budget = budget
        self._tried: set[str] = set()
        self.told: list[str] = []
        """Who failed and how, in a few words each."""
        self._failures = 0
        self._stale = 0
        self._declined = True
        self._suspicious: frozenset[str] = frozenset()
        """Who failed, perhaps because of the body."""
        self.spoilt = False

    def __repr__(self) -> str:
        return f"<RetryState {self.told} {self._stale} stale>"

    @property
    def retries(self) -> int:
        """How many tries have failed."""
        return self._failures + self._stale

    @property
    def problem(self) -> Problem:
        """The answer where nobody has given one."""
        if self._declined:
            return NO_WORKER
        told = "; ".join(self.told)
        if self.spoilt:
            return Problem(502, f"workers fail on this body, so nobody else gets it: {told}")
        return Problem(502, f"no worker answered: {told}")

    @property
    def careful(self) -> bool:
        """Whether the next try should have a connection of its own: how it ends has to mean something."""
        return bool(self._suspicious)

    def next(self) -> PoolMember | None:
        """Whose turn it is; None where nobody is left.

        Where a kept connection has ended its worker may be asked again, but rather another one: a process
        that is being ended goes on taking connections for a moment.
        """
        if self._suspicious and (other := self._fleet.pick(self._tried | self._suspicious)):
            return other
        return self._fleet.pick(self._tried)

    def may_decline(self, member: PoolMember, *, repeatable: bool) -> bool:
        """Whether this worker may send the request away, to one more; if so, it is counted already."""
        return self._may_retry({*self._tried, member.id}, repeatable)

    def failed(
        self,
        member: PoolMember,
        error: TryFailedError,
        *,
        repeatable: bool,
        suspect: bool = False,
        known: bool = False,
    ) -> bool:
        """Take the news of a try that failed: whether there may be another one.

        `suspect` is that it may be the body's fault; then one more worker gets it, but nobody where the body
        is `known` for it.
        """
        if suspect:
            self._suspicious |= {member.id}
        self.spoilt = known or len(self._suspicious) >= _MOST_SPOILT
        stale = isinstance(error, StaleConnectionError) and not self.spoilt
        again = stale and self._stale < _MOST_STALE and repeatable
        if suspect or not again:
            self.told.append(f"{member.id}: {error}")
        if again:
            self._stale += 1  # nobody's failure: it costs nothing of the budget
            return True
        declined = isinstance(error, DeclinedError)
        self._failures += 1
        self._tried.add(member.id)
        self._declined = self._declined and declined
        return not self.spoilt and (declined or self._may_retry(self._tried, repeatable))

    def _may_retry(self, tried: set[str], repeatable: bool) -> bool:
        if not repeatable or self._failures >= _MOST_FAILED:
            return False
        return self._fleet.has_other(tried) and self._budget.take()
