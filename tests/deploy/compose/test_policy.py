from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence

import pytest

from tfleet.deploy.compose.policy import ScalingHistory, ScalingRules, decide
from tfleet.deploy.compose.worker_load import WorkerLoad

RULES = ScalingRules(least=2, most=10, target_busy=0.5, target_queue=8, cooldown_s=60, stabilization_s=300)
LONG_AGO = ScalingHistory(workers=4, changed_s=-1000, needed=())


def idle(n: int) -> list[WorkerLoad]:
    return [WorkerLoad(0.0, 0)] * n


def busy(share: float, n: int = 4, queue: int = 0) -> list[WorkerLoad]:
    return [WorkerLoad(share, queue)] * n


def wanted(
    loads: Sequence[WorkerLoad],
    past: ScalingHistory = LONG_AGO,
    *,
    workers: int = 4,
    rules: ScalingRules = RULES,
) -> int:
    return decide(rules, workers, loads, past, 0.0)[0].wanted


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        (busy(0.5), 4),
        (busy(0.55), 4),  # a tenth more is no reason
        (busy(0.56), 5),
        (busy(0.75), 6),
        (busy(1.0), 8),
        (busy(0.46), 4),  # nor is a tenth less
        (busy(0.38), 4),  # rounded up
        (busy(0.37), 3),
        (busy(0.0), 2),  # the least
        (busy(0.5, queue=8), 4),
        (busy(0.5, queue=9), 5),  # the larger one counts
        (busy(0.0, queue=9), 5),
        (busy(1.0, queue=9), 8),
        (busy(1.0, queue=64), 8),  # at most twice as many at once
    ],
)
def test_enough_workers_are_wanted_for_both_targets(loads: Sequence[WorkerLoad], expected: int) -> None:
    """The targets are for the busy share and for the queues."""
    assert wanted(loads) == expected


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        ([], 4),  # nobody is known
        (busy(1.0, n=2), 4),  # two of four would need four: the other two may be about to help
        (busy(1.0, n=3), 6),
        (idle(3), 1),  # the fourth has as much to do as it should
        (idle(1), 3),
        (busy(0.5, n=3), 4),
        (busy(0.58, n=3), 4),  # and is no reason for more, either
    ],
)
def test_an_unreadable_worker_is_neither_idle_nor_busy(loads: Sequence[WorkerLoad], expected: int) -> None:
    assert wanted(loads, rules=ScalingRules(1, 10, 0.5, 8)) == expected


@pytest.mark.parametrize(("workers", "expected"), [(0, 2), (1, 2), (2, 2), (10, 10), (11, 10), (15, 10)])
def test_minimum_and_maximum_always_hold(workers: int, expected: int) -> None:
    assert wanted([], ScalingHistory(workers, changed_s=0.0), workers=workers) == expected


def test_max_is_not_exceeded() -> None:
    assert wanted(busy(1.0, n=9), ScalingHistory(9, -1000), workers=9) == 10
    decision, _ = decide(RULES, 10, busy(1.0, n=10), ScalingHistory(10, -1000), 0.0)
    assert (decision.wanted, decision.because) == (10, "which is the maximum, and too few")


def test_after_a_change_nothing_is_done_for_a_while() -> None:
    changed = ScalingHistory(4, changed_s=-59.0)
    decision, _ = decide(RULES, 4, busy(0.9), changed, 0.0)
    assert decision.wanted == 4
    assert decision.because == "8 needed, but the cooldown lasts another 1 s"
    assert decide(RULES, 4, busy(0.9), changed, 1.0)[0].wanted == 8
    assert wanted(idle(4), changed) == 4


def test_long_queues_await_starting_workers_not_the_cooldown() -> None:
    changed = ScalingHistory(4, changed_s=-1.0)
    assert wanted(busy(1.0, queue=12), changed) == 8
    assert wanted(busy(1.0, n=3, queue=20), changed) == 4


def test_a_change_by_others_starts_the_cooldown() -> None:
    _, past = decide(RULES, 4, busy(0.5), LONG_AGO, 0.0)
    decision, past = decide(RULES, 6, idle(6), past, 15.0)
    assert decision.wanted == 6, "who started two more will have had a reason"
    assert (past.workers, past.changed_s) == (6, 15.0)


def test_workers_are_removed_after_fewer_sufficed_for_a_while() -> None:
    past, found = LONG_AGO, []
    for round_number, share in enumerate([0.5, *[0.1] * 9, 0.35, *[0.1] * 40]):
        decision, past = decide(RULES, 4, busy(share), past, round_number * 15.0)
        found.append(decision.wanted)
    assert found.index(3) * 15 >= 300, "one of four was too many, once the first round is forgotten"
    assert found[found.index(3) - 1 :][:2] == [4, 3]
    assert found.index(2) * 15 >= 150 + 300, "three were needed in between"
    assert len(past.needed) == 20, "what is forgotten is not kept"


def test_a_fresh_autoscaler_first_observes() -> None:
    decision, _ = decide(RULES, 4, idle(4), ScalingHistory(), 0.0)
    assert (decision.wanted, decision.because) == (4, "2 would be enough, but not yet for 300 s")
    assert decide(RULES, 4, busy(1.0), ScalingHistory(), 0.0)[0].wanted == 8, "but not where more are needed"


@pytest.mark.parametrize(
    ("loads", "line"),
    [
        (
            busy(0.75),
            "workers 4, busy 0.75, 0 waiting: 6 wanted, because workers are busy more than 50 % of the time",
        ),
        (
            busy(0.5, queue=9),
            "workers 4, busy 0.50, 36 waiting: 5 wanted, because more than 8 requests wait in each worker",
        ),
        (busy(0.5), "workers 4, busy 0.50, 0 waiting: 4 wanted, which fits the load"),
        (
            busy(0.5, n=3),
            "workers 4 (1 unknown), busy 0.50, 0 waiting: 4 wanted, which fits the load",
        ),
        ([], "workers 4 (4 unknown): 4 wanted, because no worker's metrics could be read"),
    ],
)
def test_a_decision_is_a_line_with_the_figures_that_led_to_it(loads: Sequence[WorkerLoad], line: str) -> None:
    assert str(decide(RULES, 4, loads, LONG_AGO, 0.0)[0]) == line


class Fleet:
    """Workers that one request a worker's worth of work keeps busy, and that need half a minute to start."""

    def __init__(self, rules: ScalingRules, demand: Callable[[float], float], seed: int) -> None:
        self.rules = rules
        self.demand = demand
        self.sizes: list[int] = []
        self._ready_s = [-math.inf] * rules.least
        self._waiting = 0.0
        self._rng = random.Random(seed)

    def run(self, seconds: int, interval_s: int = 15) -> None:
        past = ScalingHistory()
        for now_s in range(0, seconds, interval_s):
            ready = [at_s for at_s in self._ready_s if at_s <= now_s]
            work = self.demand(now_s) * self._rng.uniform(0.9, 1.1)
            share = min(1.0, work / len(ready))
            self._waiting = max(0.0, self._waiting + (work - len(ready)) * interval_s)
            queue = min(64, round(self._waiting / len(ready)))
            size = len(self._ready_s)
            decision, past = decide(self.rules, size, [WorkerLoad(share, queue)] * len(ready), past, now_s)
            self.sizes.append(size)
            more = max(0, decision.wanted - size)
            self._ready_s = self._ready_s[: decision.wanted] + [now_s + 30.0] * more

    @property
    def changes(self) -> list[int]:
        steps = [after - before for before, after in zip(self.sizes, self.sizes[1:], strict=False)]
        return [step for step in steps if step]

    @property
    def turns(self) -> int:
        """How often it changed its direction."""
        changes = self.changes
        return sum(one * other < 0 for one, other in itertools.pairwise(changes))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("level", [0.3, 1.4, 2.0, 3.1, 4.9])
def test_a_level_load_with_noise_is_met_and_then_nothing_moves(level: float, seed: int) -> None:
    fleet = Fleet(RULES, lambda _: level, seed)
    fleet.run(4 * 3600)
    assert fleet.turns <= 1, fleet.sizes  # a first peak may have asked for one too many
    hour = 3600 // 15
    assert len(set(fleet.sizes[hour:])) == 1, fleet.sizes
    settled = fleet.sizes[-1]
    assert level / settled < 0.62, "neither is it too little"


@pytest.mark.parametrize("seed", range(5))
def test_a_daily_load_scales_out_once_and_in_once(seed: int) -> None:
    fleet = Fleet(RULES, lambda now_s: 2.6 - 1.6 * math.cos(2 * math.pi * now_s / 86400), seed)
    fleet.run(86400)
    assert fleet.turns == 1, fleet.sizes
    assert max(fleet.sizes) >= 8
    assert fleet.sizes[-1] <= 3


def test_a_load_flapping_every_minute_keeps_its_workers() -> None:
    fleet = Fleet(RULES, lambda now_s: 4.0 if now_s // 60 % 2 else 0.2, seed=0)
    fleet.run(2 * 3600)
    assert fleet.turns == 0, fleet.sizes
    assert fleet.sizes[-1] >= 7


def test_a_sudden_load_is_met_within_three_minutes() -> None:
    fleet = Fleet(RULES, lambda now_s: 0.5 if now_s < 600 else 4.5, seed=0)
    fleet.run(3600)
    met_s = next(at for at, size in enumerate(fleet.sizes) if size >= 9) * 15
    assert 600 < met_s <= 600 + 180
    assert fleet.turns == 0
