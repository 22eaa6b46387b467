import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.member import PoolMember, Probe
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.errors import (
    AttemptFailedError,
    DeclinedError,
    HungUpError,
    LateError,
    StaleConnectionError,
    UnreachableError,
)
from tfleet.proxy.forwarding.retries import RetryBudget, RetryState


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def taken(budget: RetryBudget, attempts: int) -> int:
    return sum(budget.take() for _ in range(attempts))


def test_an_idle_proxy_may_retry_as_often_as_the_floor_says() -> None:
    assert taken(RetryBudget(0.2, 1.0, Clock()), 100) == 10


def test_a_busy_proxy_may_retry_a_share_of_its_requests_more() -> None:
    budget = RetryBudget(0.2, 1.0, Clock())
    for _ in range(100):
        budget.request()
    assert taken(budget, 100) == 10 + 20
    assert repr(budget) == "<RetryBudget retries=30 of 30>"


def test_requests_older_than_ten_seconds_do_not_count() -> None:
    clock = Clock()
    budget = RetryBudget(0.5, 0.1, clock)
    for _ in range(10):
        budget.request()
    assert taken(budget, 100) == 6
    clock.now_s += 9.9
    assert taken(budget, 100) == 0
    clock.now_s += 1
    assert taken(budget, 100) == 1


def test_a_clock_that_jumps_far_ahead_empties_everything() -> None:
    clock = Clock()
    budget = RetryBudget(1.0, 0.1, clock)
    budget.request()
    clock.now_s += 1e9
    assert taken(budget, 100) == 1


STEPS = st.lists(st.one_of(st.just("request"), st.just("take"), st.floats(0, 30)), max_size=200)


@given(STEPS)
def test_no_ten_seconds_exceed_the_budgets_share_and_floor(steps: list[str | float]) -> None:
    clock = Clock()
    budget = RetryBudget(0.2, 0.5, clock)
    requests: list[float] = []
    granted: list[float] = []
    for step in steps:
        if isinstance(step, float):
            clock.now_s += step
        elif step == "request":
            budget.request()
            requests.append(clock.now_s)
        elif budget.take():
            granted.append(clock.now_s)
            since_s = clock.now_s - 9  # whole seconds: the tenth before may be there in part
            recent = sum(at_s > since_s for at_s in granted)
            assert recent <= 5 + 0.2 * sum(at_s > clock.now_s - 11 for at_s in requests)


def attempts(workers: int, *, budget: float = 10.0) -> RetryState:
    table = WorkerTable(rng=random.Random(1))
    table.apply_instances([Instance(f"w{number}", Address("h", number + 1)) for number in range(workers)])
    table.record_probes({f"w{number}": (Probe.READY, "") for number in range(workers)})
    return RetryState(table, RetryBudget(0.0, budget, lambda: 0.0))


def one_of(found: RetryState) -> PoolMember:
    member = found.next()
    assert member is not None
    return member


def test_each_worker_is_tried_once() -> None:
    found = attempts(3)
    seen = []
    for again in (True, True, False):
        seen.append(one_of(found))
        assert found.failed(seen[-1], UnreachableError("gone"), repeatable=True) is again
    assert {member.id for member in seen} == {"w0", "w1", "w2"}
    assert found.next() is None
    assert (found.retries, found.problem.status) == (3, 502)
    assert "w1: gone" in found.problem.detail


@pytest.mark.parametrize("error", [UnreachableError("gone"), StaleConnectionError("gone")])
def test_a_discarded_body_is_not_sent_again(error: AttemptFailedError) -> None:
    found = attempts(3)
    assert not found.failed(one_of(found), error, repeatable=False)
    assert found.problem.status == 502


def test_a_stale_connection_costs_no_retry_budget() -> None:
    """No worker is held responsible."""
    found = attempts(1, budget=0.0)
    member = one_of(found)
    for _ in range(3):
        assert found.failed(member, StaleConnectionError("gone"), repeatable=True)
        assert found.next() is not None, "the worker was not tried yet"
    assert not found.failed(member, StaleConnectionError("gone"), repeatable=True), "three times is enough"
    assert found.retries == 4


def test_without_budget_there_is_no_retry() -> None:
    found = attempts(3, budget=0.0)
    assert not found.failed(one_of(found), UnreachableError("gone"), repeatable=True)


def test_a_request_has_at_most_five_attempts() -> None:
    found = attempts(9)
    outcomes = [found.failed(one_of(found), UnreachableError("gone"), repeatable=True) for _ in range(5)]
    assert outcomes == [True] * 4 + [False]


def test_a_worker_may_decline_while_there_is_another_one() -> None:
    found = attempts(2)
    first = one_of(found)
    assert not found.may_decline(first, repeatable=False)
    assert found.may_decline(first, repeatable=True)
    assert found.failed(first, DeclinedError(429), repeatable=True)
    assert not found.may_decline(one_of(found), repeatable=True), "its answer is the answer"


def test_when_all_decline_no_worker_is_ready() -> None:
    found = attempts(1)
    found.failed(one_of(found), DeclinedError(503), repeatable=True)
    assert (found.problem.status, found.problem.retry_after_s) == (503, 1)
    assert attempts(0).problem.status == 503


def test_a_body_that_fails_two_workers_is_not_retried() -> None:
    found = attempts(5)
    assert found.failed(one_of(found), HungUpError("hung up"), repeatable=True, suspect=True)
    assert found.needs_new_connection
    assert found.failed(one_of(found), DeclinedError(429), repeatable=True)
    assert found.failed(one_of(found), UnreachableError("refused"), repeatable=True)
    assert not found.failed(one_of(found), LateError("late"), repeatable=True, suspect=True)
    assert found.body_suspected
    assert found.problem.detail.startswith("workers fail on this body, so no other worker gets it: ")
    assert found.problem.detail.count("; ") == 3


def test_a_known_poison_body_gets_one_attempt() -> None:
    found = attempts(5)
    assert found.failed(one_of(found), DeclinedError(429), repeatable=True)
    assert not found.failed(one_of(found), HungUpError("hung up"), repeatable=True, suspect=True, known=True)
    assert found.body_suspected


def test_a_worker_that_fails_twice_counts_once() -> None:
    """A process that is being ended takes connections for a moment, in which it is not known to be gone."""
    found = attempts(1)
    ended = StaleConnectionError("ended", had_body=True)
    assert found.failed(one_of(found), ended, repeatable=True, suspect=True)
    assert not found.failed(one_of(found), HungUpError("hung up"), repeatable=True, suspect=True)
    assert not found.body_suspected
    assert found.problem.detail == "no worker answered: w0: ended; w0: hung up"


def test_a_worker_that_closed_a_connection_is_asked_last() -> None:
    found = attempts(3)
    first = one_of(found)
    assert found.failed(first, StaleConnectionError("ended", had_body=True), repeatable=True, suspect=True)
    seen = []
    for _ in range(2):
        seen.append(one_of(found))
        assert found.failed(seen[-1], UnreachableError("refused"), repeatable=True)
    assert first not in seen
    assert one_of(found) is first
