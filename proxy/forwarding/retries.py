"""Retries: which worker gets the next attempt at a request, and how many retries the proxy allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from tfleet.contract.problem import Problem
from tfleet.proxy.balancing.candidates import Candidates
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.forwarding.errors import AttemptFailedError, DeclinedError, StaleConnectionError
from tfleet.proxy.problems import NO_WORKER

_WINDOW_S: Final = 10
"""Over how many seconds the budget counts requests and retries."""

_MAX_FAILED: Final = 5
"""How many attempts of one request may fail, not counting stale connections."""

_MAX_STALE: Final = 3
"""How often one request may meet a stale connection."""

_MAX_FAILED_BY_BODY: Final = 2
"""How many workers may fail on one body."""


class RetryBudget:
    """Limits retries to a share of the requests of the last ten seconds, plus a minimum rate.

    The budget keeps retries from overloading a fleet that is failing already. `share` is 0 to 1.
    `floor_per_s` is the number of retries a second that are always allowed. Finagle's retry budgets work
    the same way: https://twitter.github.io/finagle/guide/Clients.html#retries
    """

    def __init__(self, share: float, floor_per_s: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._min_retries = floor_per_s * _WINDOW_S
        self._clock = clock
        self._second = -_WINDOW_S
        self._requests = [0] * _WINDOW_S
        self._retries = [0] * _WINDOW_S

    def __repr__(self) -> str:
        return f"<RetryBudget retries={sum(self._retries)} of {self._allowed():.0f}>"

    def request(self) -> None:
        """Count a request; retries are not requests."""
        self._requests[self._now()] += 1

    def take(self) -> bool:
        """Whether another retry is allowed; if so, it is counted."""
        now = self._now()
        if sum(self._retries) + 1 > self._allowed():
            return False
        self._retries[now] += 1
        return True

    def _allowed(self) -> float:
        # The minimum is for quiet proxies: a share of a few requests is less than one retry.
        return self._min_retries + self._share * sum(self._requests)

    def _now(self) -> int:
        """Return the slot of the current second, after emptying those of seconds that passed."""
        second = math.floor(self._clock())
        for passed in range(max(self._second + 1, second - _WINDOW_S + 1), second + 1):
            self._requests[passed % _WINDOW_S] = self._retries[passed % _WINDOW_S] = 0
        # A clock that goes back must not empty slots that are still in the window.
        self._second = max(second, self._second)
        return self._second % _WINDOW_S


class RetryState:
    """The attempts of one request. Whether its body can be sent again is for the caller to know.

    `body_suspected` is whether the body seems to make workers fail: no other worker gets it.
    """

    __slots__ = (
        "_budget",
        "_candidates",
        "_declined",
        "_failed",
        "_stale",
        "_suspicious",
        "_tried",
        "body_suspected",
        "failures",
    )

    def __init__(self, candidates: Candidates, budget: RetryBudget) -> None:
        self._candidates = candidates
        self._budget = budget
        self._tried: set[str] = set()
        self.failures: list[str] = []
        """The failed attempts, a worker and a reason each."""
        self._failed = 0
        self._stale = 0
        self._declined = True
        self._suspicious: frozenset[str] = frozenset()
        """Workers that failed, perhaps because of the body."""
        self.body_suspected = False

    def __repr__(self) -> str:
        return f"<RetryState {self.failures} {self._stale} stale>"

    @property
    def retries(self) -> int:
        """The number of failed attempts."""
        return self._failed + self._stale

    @property
    def problem(self) -> Problem:
        """The response if no worker gave one."""
        if self._declined:
            return NO_WORKER
        failures = "; ".join(self.failures)
        if self.body_suspected:
            return Problem(502, f"workers fail on this body, so no other worker gets it: {failures}")
        return Problem(502, f"no worker answered: {failures}")

    @property
    def needs_new_connection(self) -> bool:
        """Whether the next attempt must not reuse a connection: its end would look like a stale one's."""
        return bool(self._suspicious)

    def next(self) -> PoolMember | None:
        """Return the worker for the next attempt; None if none is left.

        After a stale connection the same worker may be tried again, but another one is preferred: a
        process that is stopping accepts connections for a moment longer.
        """
        # A worker that failed on this body should not get it twice while there is another one.
        if self._suspicious and (other := self._candidates.pick(self._tried | self._suspicious)):
            return other
        return self._candidates.pick(self._tried)

    def may_decline(self, member: PoolMember, *, repeatable: bool) -> bool:
        """Whether the worker's 429 or 503 may be retried elsewhere; takes one retry from the budget."""
        return self._may_retry({*self._tried, member.id}, repeatable)

    def failed(
        self,
        member: PoolMember,
        error: AttemptFailedError,
        *,
        repeatable: bool,
        suspect: bool = False,
        known: bool = False,
    ) -> bool:
        """Record a failed attempt; return whether to try again.

        `suspect` is whether the body may be the cause: then one more worker gets it, or none if the body
        is `known` to make workers fail.
        """
        if suspect:
            self._suspicious |= {member.id}
        # Two workers with the same body are no coincidence; a third one must not be lost to it.
        self.body_suspected = known or len(self._suspicious) >= _MAX_FAILED_BY_BODY
        stale = isinstance(error, StaleConnectionError) and not self.body_suspected
        again = stale and self._stale < _MAX_STALE and repeatable
        if suspect or not again:
            self.failures.append(f"{member.id}: {error}")
        # A stale connection is not the worker's failure, so it does not use up the budget.
        if again:
            self._stale += 1
            return True
        # `may_decline` has taken a declined attempt's retry from the budget already: do not count it twice.
        declined = isinstance(error, DeclinedError)
        self._failed += 1
        self._tried.add(member.id)
        # Only if every worker declined, the client gets 503: with any other failure it is a 502.
        self._declined = self._declined and declined
        return not self.body_suspected and (declined or self._may_retry(self._tried, repeatable))

    def _may_retry(self, tried: set[str], repeatable: bool) -> bool:
        # A body that was not kept cannot be sent again, and a limit bounds what one request costs the fleet.
        if not repeatable or self._failed >= _MAX_FAILED:
            return False
        return self._candidates.has_other(tried) and self._budget.take()
