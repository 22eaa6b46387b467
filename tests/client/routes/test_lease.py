from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection

import pytest

from tfleet.client.routes.lease import BALANCES, LEFT_OUT, Balance, Lease
from tfleet.client.routes.lookup import FoundWorker, LeasedWorkers
from tfleet.contract.address import Address

NOW_S = 1000.0


def idle(_: str) -> int:
    return 0


def worker(number: int, weight: float = 1.0) -> FoundWorker:
    return FoundWorker(f"w{number}", Address("h", number), weight=weight)


def lease(*weights: float, seed: int = 1, lasts_s: float = 10.0) -> Lease:
    """A lease of w1, w2, ... with these weights, granted at NOW_S."""
    workers = tuple(worker(number, weight) for number, weight in enumerate(weights, 1))
    return Lease().renewed(LeasedWorkers(workers, lasts_s), NOW_S, random.Random(seed))


def picks(
    taken: Lease,
    times: int,
    balance: Balance = "round-robin",
    load: Callable[[str], int] = idle,
    avoided: Collection[str] = (),
    now_s: float = NOW_S,
) -> list[str]:
    """The ids of so many workers in turn; "" where there is none."""
    rng, found, turn = random.Random(1), [], 0
    for _ in range(times):
        at = taken.pick(turn, balance, load, avoided, now_s, rng)
        turn = turn if at is None else at + 1
        found.append("" if at is None else taken.workers[at].id)
    return found


@pytest.mark.parametrize("balance", BALANCES)
def test_images_that_come_one_by_one_go_to_each_in_turn(balance: Balance) -> None:
    assert picks(lease(1, 1, 1), 7, balance) == ["w1", "w2", "w3"] * 2 + ["w1"]


@pytest.mark.parametrize(
    ("loads", "taken"),
    [
        ({}, ["w1", "w2", "w3"]),
        ({"w1": 1}, ["w2", "w3", "w2"]),
        ({"w1": 3, "w2": 2, "w3": 4}, ["w2", "w2", "w2"]),
        ({"w1": 2, "w2": 3, "w3": 2}, ["w1", "w3", "w1"]),
    ],
)
def test_least_in_flight_wins_and_ties_take_turns(loads: dict[str, int], taken: list[str]) -> None:
    one = lease(1, 1, 1)
    assert picks(one, 3, "least-in-flight", lambda worker_id: loads.get(worker_id, 0)) == taken
    assert picks(one, 3, "round-robin", lambda worker_id: loads.get(worker_id, 0)) == ["w1", "w2", "w3"]


@pytest.mark.parametrize("balance", BALANCES)
def test_avoided_workers_get_no_image(balance: Balance) -> None:
    one = lease(1, 1, 1)
    assert picks(one, 3, balance, avoided=["w1", "w3"]) == ["w2"] * 3
    assert picks(one, 1, balance, avoided=["w1", "w2", "w3"]) == [""]
    assert picks(Lease(), 1, balance) == [""]


@pytest.mark.parametrize("balance", BALANCES)
def test_a_newcomer_gets_as_much_as_it_weighs(balance: Balance) -> None:
    shares = Counter(picks(lease(1, 1, 0.2, 1), 10_000, balance))
    assert shares["w3"] / 10_000 == pytest.approx(0.2 / 3.2, rel=0.15)
    assert picks(lease(0.1), 3, balance) == ["w1"] * 3, "there is nobody else"


def test_a_busy_worker_rests_unless_it_is_the_only_one() -> None:
    one = lease(1, 1).busy("w1", 2.0, NOW_S)
    assert picks(one, 3) == ["w2"] * 3
    assert picks(one, 1, avoided=["w2"]) == ["w1"]
    assert picks(one, 2, now_s=NOW_S + 2) == ["w1", "w2"]
    again = one.renewed(LeasedWorkers((worker(1), worker(2)), 10.0), NOW_S + 1, random.Random(1))
    assert set(picks(again, 3, now_s=NOW_S + 1)) == {"w2"}, "a renewal doesn't end the rest"


def failed(taken: Lease, worker_id: str, now_s: float = NOW_S) -> Lease:
    return taken.failed(worker_id, now_s, random.Random(1))


def renewed(taken: Lease, now_s: float, *, workers: int = 3) -> Lease:
    """The lease after w1, w2, ... were granted for ten seconds."""
    everybody = tuple(worker(number) for number in range(1, workers + 1))
    return taken.renewed(LeasedWorkers(everybody, 10.0), now_s, random.Random(1))


def ids(taken: Lease) -> list[str]:
    return [found.id for found in taken.workers]


def test_a_failed_worker_is_left_out_for_a_while() -> None:
    one = failed(lease(1, 1, 1), "w2")
    assert set(picks(one, 9)) == {"w1", "w3"}
    assert one.left_out(NOW_S + 1.9) == {"w2"}
    assert one.left_out(NOW_S + 4) == frozenset()
    assert one.without_failures().left_out(NOW_S) == frozenset()
    assert repr(one) == "<Lease 2 of 3 workers>"
    assert failed(one, "w2") is one, "another image that was under way there"


def test_a_late_lease_omits_workers_that_failed_meanwhile() -> None:
    one = failed(lease(1, 1, 1), "w2")
    assert ids(renewed(one, NOW_S + 1)) == ["w1", "w3"]
    assert ids(renewed(one, NOW_S + 4)) == ["w1", "w2", "w3"]


def test_a_reduced_lease_is_renewed_when_a_worker_may_be_back() -> None:
    one = renewed(failed(lease(1, 1, 1), "w2"), NOW_S + 0.5)
    until_s = one.failures["w2"].until_s
    assert until_s <= one.renewal.renew_at_s <= until_s + 1 < NOW_S + 0.5 + 6
    assert renewed(one, until_s).renewal.renew_at_s >= until_s + 6


def test_repeated_failures_exclude_a_worker_ever_longer() -> None:
    """Until it answers."""
    one, now_s, lengths_s = lease(1, 1, 1), NOW_S, []
    for _ in range(7):
        one = failed(one, "w2", now_s)
        lengths_s.append(one.failures["w2"].until_s - now_s)
        now_s = one.failures["w2"].until_s
        one = renewed(one, now_s)
    assert 2 <= lengths_s[0] <= 4
    assert lengths_s == sorted(lengths_s)
    assert LEFT_OUT.cap_s / 2 <= lengths_s[-1] <= LEFT_OUT.cap_s
    well = failed(one.answered("w2"), "w2", now_s)
    assert well.failures["w2"].times == 1
    later_s = now_s + 121
    assert failed(renewed(failed(one, "w2", now_s), later_s), "w2", later_s).failures["w2"].times == 1


def test_a_lease_is_renewed_early_with_jitter() -> None:
    due_s = [lease(1, seed=seed).renewal.renew_at_s - NOW_S for seed in range(100)]
    assert 6.0 <= min(due_s) < 6.3
    assert 7.7 < max(due_s) <= 8.0
    one = lease(1)
    assert [one.due(NOW_S + s) for s in (0, 5.9, 8.1)] == [False, False, True]
    assert [one.lapsed(NOW_S + s) for s in (0, 8.1, 9.9, 10)] == [False, False, False, True]


def test_without_an_expiry_each_image_asks_anew() -> None:
    assert lease(1, lasts_s=0).lapsed(NOW_S)


@pytest.mark.parametrize(
    ("size", "failures", "latest_s"), [(4, 1, 1.0), (4, 2, 1.0), (4, 3, 0.0), (3, 2, 0.0), (1, 1, 0.0)]
)
def test_a_failure_is_reported_soon_or_at_once_if_few_remain(
    size: int, failures: int, latest_s: float
) -> None:
    told_s = []
    for seed in range(50):
        one = lease(*[1.0] * size)
        for number in range(1, failures + 1):
            one = one.failed(f"w{number}", NOW_S, random.Random(f"{seed} {number}"))
        told_s.append(one.renewal.renew_at_s - NOW_S)
    assert max(told_s) <= latest_s
    assert len(set(told_s)) == (50 if latest_s else 1), "not all clients at the same moment"


def test_a_failed_renewal_keeps_the_workers_and_backs_off() -> None:
    one = lease(1, 1)
    expired_s = NOW_S + 10
    waits_s = []
    for _ in range(6):
        one = one.not_renewed(expired_s, random.Random(1))
        assert not one.lapsed(expired_s)
        waits_s.append(one.renewal.renew_at_s - expired_s)
    assert picks(one, 2, now_s=expired_s) == ["w1", "w2"]
    assert 0.5 <= waits_s[0] <= 1
    assert waits_s == sorted(waits_s)
    assert 5 <= waits_s[-1] <= 10
    assert lease(1).not_renewed(expired_s, random.Random(1)).renewal.failed_renewals == 1


def test_an_empty_lease_has_lapsed() -> None:
    assert Lease().lapsed(NOW_S)
    assert failed(lease(1), "w1").not_renewed(NOW_S, random.Random(1)).lapsed(NOW_S)


def test_a_lease_knows_whether_any_worker_answered() -> None:
    one = lease(1, 1)
    one_answered = one.answered("w1")
    assert (one.answered_once, one_answered.answered_once, one_answered.answered("w2") is one_answered) == (
        False,
        True,
        True,
    )
    assert failed(one_answered, "w1").answered_once
    assert not failed(failed(one_answered, "w1"), "w2").answered_once
    assert not renewed(one_answered, NOW_S).answered_once
