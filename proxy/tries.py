"""How often a request is tried, and with whom: the retries' rules, apart from the requests."""

from __future__ import annotations

from typing import Final

from tfleet.contract.problem import Problem
from tfleet.proxy.failures import DeclinedError, StaleConnectionError, TryFailedError
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.pool import Member
from tfleet.proxy.problems import NO_WORKER
from tfleet.proxy.retry_budget import RetryBudget

_MOST_FAILED: Final = 5
_MOST_STALE: Final = 3
_MOST_SPOILT: Final = 2
"""Of workers that failed on one body."""


class Tries:
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

    def __init__(self, fleet: Fleet, budget: RetryBudget) -> None:
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
        return f"<Tries {self.told} {self._stale} stale>"

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

    def next(self) -> Member | None:
        """Whose turn it is; None where nobody is left.

        Where a kept connection has ended its worker may be asked again, but rather another one: a process
        that is being ended goes on taking connections for a moment.
        """
        if self._suspicious and (other := self._fleet.pick(self._tried | self._suspicious)):
            return other
        return self._fleet.pick(self._tried)

    def may_decline(self, member: Member, *, repeatable: bool) -> bool:
        """Whether this worker may send the request away, to one more; if so, it is counted already."""
        return self._may_retry({*self._tried, member.id}, repeatable)

    def failed(
        self,
        member: Member,
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
