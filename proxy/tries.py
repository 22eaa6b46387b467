"""How often a request is tried, and with whom: the retries' rules, apart from the requests."""

from __future__ import annotations

from typing import Final

from tfleet.discovery.problem import Problem
from tfleet.proxy.failures import DeclinedError, StaleConnectionError, TryFailedError
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.pool import Member
from tfleet.proxy.problems import NO_WORKER
from tfleet.proxy.retry_budget import RetryBudget

_MOST_FAILED: Final = 5
_MOST_STALE: Final = 3


class Tries:
    """The tries of one request. Whether its body can be sent again is the caller's to know."""

    __slots__ = ("_budget", "_declined", "_failures", "_fleet", "_stale", "_tried")

    def __init__(self, fleet: Fleet, budget: RetryBudget) -> None:
        self._fleet = fleet
        self._budget = budget
        self._tried: set[str] = set()
        self._failures: list[str] = []
        self._stale = 0
        self._declined = True

    def __repr__(self) -> str:
        return f"<Tries {self._failures} {self._stale} stale>"

    @property
    def retries(self) -> int:
        """How many tries have failed."""
        return len(self._failures) + self._stale

    @property
    def problem(self) -> Problem:
        """The answer where nobody has given one."""
        if self._declined:
            return NO_WORKER
        return Problem(502, f"no worker answered: {'; '.join(self._failures)}")

    def next(self) -> Member | None:
        """Whose turn it is; None where nobody is left."""
        return self._fleet.pick(self._tried)

    def may_decline(self, member: Member, *, repeatable: bool) -> bool:
        """Whether this worker may send the request away, to one more; if so, it is counted already."""
        return self._may_retry({*self._tried, member.id}, repeatable)

    def failed(self, member: Member, error: TryFailedError, *, repeatable: bool) -> bool:
        """Take the news of a try that failed: whether there may be another one."""
        if isinstance(error, StaleConnectionError) and self._stale < _MOST_STALE and repeatable:
            self._stale += 1  # nobody's failure: it costs nothing of the budget
            return True
        declined = isinstance(error, DeclinedError)
        self._failures.append(f"{member.id}: {error}")
        self._tried.add(member.id)
        self._declined = self._declined and declined
        return declined or self._may_retry(self._tried, repeatable)

    def _may_retry(self, tried: set[str], repeatable: bool) -> bool:
        if not repeatable or len(self._failures) >= _MOST_FAILED:
            return False
        return self._fleet.has_other(tried) and self._budget.take()
