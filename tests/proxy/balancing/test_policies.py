import random
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.member import PoolMember, Probe
from tfleet.proxy.balancing.policies import POLICIES, LeaseRotation, LeastRequest, Picker, RoundRobin
from tfleet.proxy.balancing.pool import Pool
from tfleet.proxy.balancing.slow_start import SlowStart
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.settings import BALANCES

WINDOW_S = 10.0
NOW_S = 1000.0


@cache
def pool_of(warm: int, *ages_s: float) -> Pool:
    """So many that have been at work for long, and after them newcomers that have been ready for so long.

    Pools are immutable, and one of 10,000 takes a quarter of a second to make.
    """
    came_s = [0.0] * warm + [NOW_S - age_s for age_s in ages_s]
    pool = Pool(slow_start=SlowStart(WINDOW_S)).after_listing(
        [Instance(f"w{n}", Address("h", 1)) for n in range(len(came_s))], 0.0
    )
    for at_s in sorted(set(came_s)):
        ready = {f"w{n}": (Probe.READY, "") for n, came in enumerate(came_s) if came == at_s}
        pool = pool.after_probes(ready, at_s, random.Random(0))
    return pool


def idle(_: str, __: float) -> int:
    return 0


def shares(pick: Picker, pool: Pool, picks: int, *, tried: tuple[str, ...] = ()) -> Counter[str]:
    return Counter(pick(pool, tried, NOW_S).id for _ in range(picks))


def test_each_name_that_the_option_takes_has_a_policy() -> None:
    assert tuple(POLICIES) == BALANCES
    assert shares(POLICIES["round-robin"](idle, random.Random(1)), pool_of(2), 4) == {"w0": 2, "w1": 2}


def test_round_robin_shares_evenly_and_in_order() -> None:
    pick, pool = RoundRobin(random.Random(1)), pool_of(4)
    assert [pick(pool, (), NOW_S).id for _ in range(6)] == ["w0", "w1", "w2", "w3", "w0", "w1"]


def test_round_robin_goes_on_when_workers_come_and_go() -> None:
    pick = RoundRobin(random.Random(1))
    for pool in (pool_of(4), pool_of(1), pool_of(2)):
        assert pick(pool, (), NOW_S) in pool.routable


def test_round_robin_passes_a_tried_workers_turn_on() -> None:
    """The next worker has then had its turn."""
    pick, pool = RoundRobin(random.Random(1)), pool_of(3)
    assert [pick(pool, ["w0"], NOW_S).id, pick(pool, (), NOW_S).id] == ["w1", "w2"]


def test_least_request_never_takes_the_busiest() -> None:
    busy = {"w0": 9, "w1": 1, "w2": 1, "w3": 1}
    pick = LeastRequest(lambda worker_id, _: busy[worker_id], random.Random(1))
    assert shares(pick, pool_of(4), 400).keys() == {"w1", "w2", "w3"}


def test_least_request_draws_among_equals() -> None:
    assert min(shares(LeastRequest(idle, random.Random(1)), pool_of(4), 4000).values()) > 800


def test_least_request_with_one_worker_takes_it() -> None:
    assert shares(LeastRequest(idle, random.Random(1)), pool_of(1), 3) == {"w0": 3}


PICKERS = pytest.mark.parametrize(
    "picker",
    [RoundRobin, lambda rng: LeastRequest(idle, rng)],
    ids=["round robin", "least request"],
)


@PICKERS
@pytest.mark.parametrize(("age_s", "turn"), [(0.0, 0.1), (2.0, 0.2), (5.0, 0.5), (9.0, 0.9), (WINDOW_S, 1.0)])
def test_a_newcomer_gets_its_share_little_by_little(picker: Any, age_s: float, turn: float) -> None:
    found = shares(picker(random.Random(1)), pool_of(3, age_s), 30_000)
    others = [found[f"w{n}"] for n in range(3)]
    assert found["w3"] / (sum(others) / 3) == pytest.approx(turn, abs=0.04)


def test_round_robin_is_even_beside_a_slow_start() -> None:
    found = shares(RoundRobin(random.Random(1)), pool_of(3, 2.0, 0.0), 1000)
    assert max(found[f"w{n}"] for n in range(3)) - min(found[f"w{n}"] for n in range(3)) <= 1


@PICKERS
def test_a_tried_worker_is_not_picked_again(picker: Any) -> None:
    """Even if only a worker in slow start is left."""
    assert shares(picker(random.Random(1)), pool_of(1, 0.0), 50, tried=("w0",)) == {"w1": 50}


@PICKERS
def test_a_fleet_of_newcomers_shares_all_there_is(picker: Any) -> None:
    pool = pool_of(1, 0.0, 0.0, 0.0).after_failure("w0", "refused", NOW_S, random.Random(0))
    found = shares(picker(random.Random(1)), pool, 3000)
    assert min(found[f"w{n}"] for n in (1, 2, 3)) > 900


class Counted(tuple[PoolMember, ...]):
    """Counts how many of its elements were looked at, and lets nobody go through all of them."""

    looked_at = 0

    def __getitem__(self, index: Any) -> Any:
        type(self).looked_at += 1
        return super().__getitem__(index)

    def __iter__(self) -> Any:
        raise AssertionError("a pick goes through all workers")


class Unwalked(dict[str, PoolMember]):
    """Answers for a key and lets nobody go through all of them."""

    def values(self) -> Any:
        raise AssertionError("a pick goes through all workers")

    __iter__ = items = keys = values


class Unlucky(random.Random):
    """Nobody who is cold ever takes its turn."""

    def random(self) -> float:
        return 0.99


@PICKERS
@pytest.mark.parametrize("newcomers", [0, 5_000, 9_999], ids=["all warm", "half warm", "one warm"])
@pytest.mark.parametrize("tried", [(), ("w0", "w7", "w5001")], ids=["first", "retry"])
def test_a_pick_looks_at_a_few_workers_however_many_there_are(
    picker: Any, newcomers: int, tried: tuple[str, ...]
) -> None:
    pool = pool_of(10_000 - newcomers, *[0.0] * newcomers)
    pool = replace(pool, routable=Counted(pool.routable), members=Unwalked(pool.members))
    for rng in (random.Random(1), Unlucky()):
        pick, Counted.looked_at = picker(rng), 0
        shares(pick, pool, 100, tried=tried)
        assert Counted.looked_at < 100 * 2 * 20  # two draws, at most 16 passes and the tried ones in each
    assert pool.has_other(tried)


@given(
    warm=st.integers(0, 4),
    ages_s=st.lists(st.floats(0, 2 * WINDOW_S), max_size=4),
    in_flight=st.lists(st.integers(0, 3), min_size=8, max_size=8),
    tried=st.sets(st.integers(0, 9)),
    seed=st.integers(0, 999),
)
def test_the_rules_hold_for_any_workers(
    warm: int, ages_s: list[float], in_flight: list[int], tried: set[int], seed: int
) -> None:
    pool, ids = pool_of(warm, *ages_s), {f"w{n}" for n in tried}
    if not pool.has_other(ids):
        return
    turn, least = (
        RoundRobin(random.Random(seed)),
        LeastRequest(lambda i, _: in_flight[int(i[1:])], random.Random(seed)),
    )
    found = Counter(turn(pool, ids, NOW_S) for _ in range(40))
    assert not ids & {m.id for m in [*found, *(least(pool, ids, NOW_S) for _ in range(40))]}
    left = [m for m in pool.routable if m.id not in ids]
    assert set(found) <= set(left)
    whole = [found[m] for m in left if pool.slow_start.weight(m.warm_at_s, NOW_S) == 1]
    assert not whole or max(whole) - min(whole) <= 1, "the warm ones share evenly"
    assert not whole or max(found.values()) <= min(whole) + 1, "nobody has more than they"


def members(number: int) -> tuple[PoolMember, ...]:
    return tuple(PoolMember(Instance(f"w{one}", Address("h", 1))) for one in range(number))


def ids(leased: tuple[PoolMember, ...]) -> list[str]:
    return [member.id for member in leased]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 8, 10, 64])
@pytest.mark.parametrize("workers", [1, 2, 3, 7, 10, 100])
def test_a_thousand_leases_are_shared_evenly(n: int, workers: int) -> None:
    """Each worker's share is the same within one."""
    leasing, everybody = LeaseRotation(), members(workers)
    leases = [ids(leasing(everybody, n, ())) for _ in range(1000)]
    assert all(len(set(lease)) == len(lease) == min(n, workers) for lease in leases)
    shares = Counter(worker for lease in leases for worker in lease)
    assert len(shares) == workers
    assert max(shares.values()) - min(shares.values()) <= 1


def test_each_lease_starts_where_the_last_one_ended() -> None:
    leasing, five = LeaseRotation(), members(5)
    assert [ids(leasing(five, 2, ())) for _ in range(3)] == [["w0", "w1"], ["w2", "w3"], ["w4", "w0"]]
    assert ids(leasing(five, 3, {"w2"})) == ["w1", "w3", "w4"]
    assert repr(leasing) == "<LeaseRotation next=5>"
    assert ids(leasing(members(2), 1, ())) == ["w0"], "the others are gone"
    assert ids(leasing((), 1, ())) == []


def test_a_late_worker_is_leased_as_a_last_resort() -> None:
    table = WorkerTable(rng=random.Random(1))
    table.apply_instances([member.instance for member in members(3)])
    table.record_probes({f"w{one}": (Probe.READY, "") for one in range(3)})
    table.record_failure(table.pool.members["w0"], "no answer", late=True)
    table.record_failure(table.pool.members["w1"], "refused")
    assert ids(table.lease(8)) == ["w2"]
    assert ids(table.lease(8, {"w2"})) == ["w0"]
    assert ids(table.lease(8, {"w2", "w0"})) == []
