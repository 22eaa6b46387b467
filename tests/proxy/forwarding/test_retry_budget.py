from hypothesis import given
from hypothesis import strategies as st

from tfleet.proxy.forwarding.retries import RetryBudget


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def taken(budget: RetryBudget, tries: int) -> int:
    return sum(budget.take() for _ in range(tries))


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
