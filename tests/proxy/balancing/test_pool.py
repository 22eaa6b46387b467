import random
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.discovery.maintenance import Maintained
from tfleet.proxy.balancing.member import Probe, WorkerState
from tfleet.proxy.balancing.pool import Pool

RNG = random.Random(0)


def instance(number: int, port: int = 80) -> Instance:
    return Instance(f"w{number}", Address("h", port))


def pool_of(*numbers: int) -> Pool:
    """Workers that are listed and have been found ready."""
    ready = {f"w{n}": (Probe.READY, "") for n in numbers}
    return Pool().after_listing([instance(n) for n in numbers], 0.0).after_probes(ready, 0.0, RNG)


def probed(pool: Pool, worker_id: str, probe: Probe, now_s: float = 0.0, error: str = "") -> Pool:
    return pool.after_probes({worker_id: (probe, error)}, now_s, RNG)


def routable(pool: Pool) -> list[str]:
    return [member.id for member in pool.routable]


def in_maintenance(pool: Pool, now_s: float, listed: Iterable[str], kept_out: Iterable[str]) -> Pool:
    well = [instance(int(i[1:])) for i in listed if i not in set(kept_out)]
    return pool.after_listing(
        well, now_s, maintained=[Maintained(instance(int(i[1:])), "maintenance: x") for i in kept_out]
    )


def test_a_new_worker_gets_requests_after_a_good_probe() -> None:
    pool = Pool().after_listing([instance(1), instance(2), instance(3)], 5.0)
    assert routable(pool) == []
    assert [m.id for m in pool.probes_due(5.0)] == ["w1", "w2", "w3"]
    found = {"w1": (Probe.READY, ""), "w2": (Probe.NOT_READY, "503"), "w3": (Probe.UNREACHABLE, "refused")}
    pool = pool.after_probes(found, 5.0, RNG)
    assert [m.state for m in pool.members.values()] == [
        WorkerState.READY,
        WorkerState.STARTING,
        WorkerState.EJECTED,
    ]
    assert routable(pool) == ["w1"]
    assert [m.id for m in pool.probes_due(6.0)] == ["w3", "w2"], "longest due first"


def test_a_worker_that_is_no_longer_listed_stays_until_it_fails() -> None:
    pool = pool_of(1, 2).after_listing([instance(2)], 5.0)
    assert routable(pool) == ["w1", "w2"]
    assert [m.id for m in pool.probes_due(5.0)] == ["w1"]
    assert routable(pool.after_failure("w1", "refused", 6.0, RNG)) == ["w2"]
    assert "w1" not in pool.after_failure("w1", "refused", 6.0, RNG).members


def test_an_empty_list_empties_nothing() -> None:
    assert routable(pool_of(1, 2).after_listing([], 1.0)) == ["w1", "w2"]


def test_an_unlisted_worker_stays_only_while_ready() -> None:
    pool = pool_of(1, 2).after_listing([], 1.0)
    pool = probed(probed(pool, "w1", Probe.NOT_READY, 1.0), "w2", Probe.READY, 1.0)
    assert list(pool.members) == ["w2"]
    assert pool.probes_due(1.0) == ()
    assert [m.id for m in pool.probes_due(2.0)] == ["w2"]


def test_a_failed_worker_is_ejected_until_a_good_probe() -> None:
    pool = pool_of(1, 2).after_failure("w1", "refused", 10.0, RNG)
    assert routable(pool) == ["w2"]
    member = pool.members["w1"]
    assert (member.state, member.last_error, member.ejection.failures) == (WorkerState.EJECTED, "refused", 1)
    assert pool.probes_due(10.4) == ()
    assert [m.id for m in pool.probes_due(11.0)] == ["w1"]
    back = probed(pool, "w1", Probe.READY, 11.0)
    assert routable(back) == ["w1", "w2"]


def test_ejection_grows_only_for_soon_repeated_failures() -> None:
    def out_for_s(pool: Pool, now_s: float) -> float:
        at_s = pool.after_failure("w1", "reset", now_s, RNG).next_probe_at_s()
        assert at_s is not None
        return at_s - now_s

    once = pool_of(1).after_failure("w1", "reset", 0.0, RNG)
    back = probed(once, "w1", Probe.READY, 1.0)
    assert 1.0 <= out_for_s(back, 2.0) <= 2.0
    assert 0.5 <= out_for_s(back, 62.0) <= 1.0


def test_probes_of_a_lost_worker_back_off() -> None:
    pool, now_s, gaps = pool_of(1).after_failure("w1", "refused", 0.0, RNG), 0.0, []
    for _ in range(12):
        at_s = pool.next_probe_at_s()
        assert at_s is not None
        gaps.append(at_s - now_s)
        now_s = at_s
        pool = probed(pool, "w1", Probe.UNREACHABLE, now_s)
    assert gaps[0] <= 1.0
    assert gaps[4] > 4 * gaps[0]
    assert max(gaps) <= 30.0


def test_a_listed_worker_that_is_not_ready_gets_no_requests() -> None:
    pool = probed(pool_of(1), "w1", Probe.NOT_READY, 1.0, "503")
    assert pool.members["w1"].state is WorkerState.DRAINING
    assert pool.routable == ()


def test_listing_again_keeps_state_and_updates_the_address() -> None:
    pool = pool_of(1).after_listing([], 1.0).after_listing([instance(1, port=81)], 2.0)
    member = pool.members["w1"]
    assert member.entry.listed
    assert member.instance.address.port == 81
    assert pool.probes_due(9.0) == ()


def test_listing_again_does_not_undo_an_ejection() -> None:
    pool = pool_of(1).after_failure("w1", "refused", 0.0, RNG).after_listing([instance(1)], 1.0)
    assert pool.routable == ()


def test_news_of_a_worker_that_is_gone_changes_nothing() -> None:
    pool = pool_of(1)
    assert pool.after_failure("w9", "refused", 0.0, RNG) == pool
    assert probed(pool, "w9", Probe.READY) == pool
    assert probed(pool, "w9", Probe.NOT_READY) == pool


def test_healthy_workers_need_no_probe() -> None:
    assert pool_of(1, 2).next_probe_at_s() is None


def test_repr_shows_how_many_workers_it_has() -> None:
    assert repr(pool_of(1, 2).after_failure("w1", "x", 0.0, RNG)) == "<Pool routable=1 of 2>"


def answered_with_errors(pool: Pool, *numbers: int, now_s: float = 0.0) -> Pool:
    for number in numbers:
        pool = pool.after_errors(f"w{number}", "answered 500", now_s, RNG)
    return pool


def test_requests_that_fail_together_count_once() -> None:
    pool = pool_of(1, 2).after_failure("w1", "refused", 10.0, RNG)
    assert pool.after_failure("w1", "reset", 10.1, RNG) is pool


def test_at_most_half_are_ejected_for_their_answers() -> None:
    assert routable(answered_with_errors(pool_of(1, 2, 3, 4), 1, 2, 3, 4)) == ["w3", "w4"]
    assert routable(answered_with_errors(pool_of(1), 1)) == ["w1"]


def test_the_ejection_limit_is_half_of_the_reachable_workers() -> None:
    pool = pool_of(1, 2).after_listing([instance(n) for n in range(1, 9)], 0.0)
    pool = pool.after_probes({f"w{n}": (Probe.UNREACHABLE, "refused") for n in range(3, 9)}, 0.0, RNG)
    assert routable(answered_with_errors(pool, 1, 2)) == ["w2"]


def test_an_erroring_worker_is_better_than_none() -> None:
    pool = answered_with_errors(pool_of(1, 2, 3, 4), 1, 2)
    pool = pool.after_failure("w3", "refused", 1.0, RNG)
    assert len(routable(pool)) == 2
    pool = pool.after_failure("w4", "refused", 1.0, RNG)
    assert len(routable(pool)) == 1


def test_an_unlisted_erroring_worker_returns_by_a_probe() -> None:
    pool = answered_with_errors(pool_of(1, 2).after_listing([], 1.0), 1, now_s=1.0)
    assert routable(pool) == ["w2"]
    assert routable(probed(pool, "w1", Probe.READY, 2.0)) == ["w1", "w2"]


@pytest.mark.parametrize(
    ("tried", "left"),
    [
        ([], True),
        (["w1"], True),
        (["w1", "w1", "w1"], True),
        (["w1", "w3", "w9"], True),
        (["w1", "w2"], False),
        (["w1", "w2", "w3"], False),
    ],
)
def test_eligible_workers_not_yet_tried_remain(tried: list[str], left: bool) -> None:
    assert pool_of(1, 2, 3).after_failure("w3", "refused", 0.0, RNG).has_other(tried) is left


def test_a_returning_worker_starts_slowly_in_a_busy_fleet() -> None:
    pool = probed(pool_of(1, 2).after_failure("w1", "refused", 60.0, RNG), "w1", Probe.READY, 61.0)
    assert pool.members["w1"].warm_at_s == 61.0 + pool.slow_start.window_s
    assert pool.slow_start.uneven(61.0)
    assert not pool.slow_start.uneven(61.0 + pool.slow_start.window_s)
    again = probed(pool, "w1", Probe.READY, 63.0)
    assert again.members["w1"] == replace(pool.members["w1"], probe_at_s=64.0), "found ready once more"


def test_a_fleet_that_was_all_ejected_comes_back_evenly() -> None:
    pool = pool_of(1, 2).after_failure("w1", "refused", 60.0, RNG).after_failure("w2", "refused", 60.0, RNG)
    pool = probed(probed(pool, "w1", Probe.READY, 61.0), "w2", Probe.READY, 62.0)
    assert not pool.slow_start.uneven(62.0)


EVENTS = st.one_of(
    st.tuples(st.just("synced"), st.sets(st.integers(0, 4))),
    st.tuples(st.just("maintained"), st.sets(st.integers(0, 4))),
    st.tuples(st.just("heard"), st.booleans()),
    st.tuples(st.just("failed"), st.integers(0, 4)),
    st.tuples(st.just("failing"), st.integers(0, 4)),
    st.tuples(st.just("probed"), st.tuples(st.integers(0, 4), st.sampled_from(Probe))),
)


@given(st.lists(st.tuples(EVENTS, st.sampled_from([0.0, 0.5, 3.0, 60.0])), max_size=30))
def test_the_rules_hold_for_any_events(events: list[tuple[tuple[str, object], float]]) -> None:
    pool, listed, kept_out, now_s = Pool(), set[str](), set[str](), 0.0
    for (kind, what), later_s in events:
        before, now_s = pool, now_s + later_s
        match kind, what:
            case "synced", set(numbers):
                listed, kept_out = {f"w{n}" for n in numbers}, set()
                pool = pool.after_listing([instance(n) for n in numbers], now_s)
                assert before.members.keys() <= pool.members.keys(), "the registry alone drops nobody"
            case "maintained", set(numbers):
                kept_out = listed & {f"w{n}" for n in numbers}
                pool = in_maintenance(pool, now_s, listed, kept_out)
                assert before.members.keys() <= pool.members.keys(), "nor does maintenance"
            case "heard", bool(in_order):
                pool = pool.after_registry_check(now_s, healthy=in_order)
                gone = before.members.keys() - pool.members.keys()
                known = [m.id for m in before.members.values() if m.confirmed]
                assert 2 * len(gone & set(known)) <= len(known), "at most half of those known"
                assert gone.isdisjoint(listed)
            case "failed", int(number):
                pool = pool.after_failure(f"w{number}", "x", now_s, RNG)
                assert f"w{number}" not in routable(pool)
            case "failing", int(number):
                pool = pool.after_errors(f"w{number}", "x", now_s, RNG)
                assert pool.members.keys() == before.members.keys(), "answers alone drop nobody"
                assert bool(pool.routable) is bool(before.routable), "somebody is always left"
            case "probed", (int(number), Probe() as probe):
                pool = probed(pool, f"w{number}", probe, now_s)
        members = pool.members.values()
        assert listed <= pool.members.keys(), "who is listed is known"
        assert {m.id for m in members if m.entry.listed} == listed
        kept = [worker_id for worker_id in before.members if worker_id in pool.members]
        assert list(pool.members)[: len(kept)] == kept, "in the order in which they came"
        assert pool.routable == tuple(m for m in members if m.state is WorkerState.READY)
        assert pool.in_doubt == tuple(
            m
            for m in members
            if not m.entry.listed or (m.state is not WorkerState.READY and not m.entry.maintenance)
        )
        assert kept_out <= {m.id for m in members if m.state is WorkerState.DRAINING}, (
            "nothing in maintenance serves"
        )
        out = {m.id for m in members if m.ejection.for_errors}
        assert (
            out == set(pool.ejected_for_errors) <= {m.id for m in members if m.state is WorkerState.EJECTED}
        )
        assert len(out) <= len(pool.routable), "at most half are out for their answers"
        for at_s in (now_s, now_s + 1.0, now_s + pool.slow_start.window_s):
            turns = [pool.slow_start.weight(m.warm_at_s, at_s) for m in pool.routable]
            assert all(0 < turn <= 1 for turn in turns)
            assert not turns or max(turns) == 1, "the warmest has whole turns"
            assert pool.slow_start.uneven(at_s) or set(turns) <= {1.0}
        longest = sorted(pool.routable, key=lambda member: member.ready_at_s)
        warm = [m.warm_at_s <= now_s for m in longest]
        assert warm == sorted(warm, reverse=True), "who came earlier is warm earlier"


def late(pool: Pool) -> list[str]:
    return [member.id for member in pool.late]


def test_a_late_worker_is_ejected_but_is_the_last_resort() -> None:
    pool = pool_of(1, 2).after_failure("w1", "makes no progress", 1.0, RNG, late=True)
    assert (routable(pool), late(pool)) == (["w2"], ["w1"])
    assert late(probed(pool, "w1", Probe.LATE, 2.0)) == ["w1"], "late once more"
    for found in (Probe.READY, Probe.NOT_READY, Probe.UNREACHABLE):
        assert late(probed(pool, "w1", found, 2.0)) == []
    assert late(pool_of(1, 2).after_failure("w1", "refused", 1.0, RNG)) == []


def test_a_newcomer_that_never_served_is_no_last_resort() -> None:
    pool = probed(Pool().after_listing([instance(1)], 0.0), "w1", Probe.LATE)
    assert (pool.members["w1"].state, late(pool)) == (WorkerState.EJECTED, [])


def test_a_last_resort_that_refuses_gets_no_more_requests() -> None:
    pool = pool_of(1, 2).after_failure("w1", "makes no progress", 1.0, RNG, late=True)
    assert late(pool.after_failure("w1", "makes no progress", 1.1, RNG, late=True)) == ["w1"]
    refused = pool.after_failure("w1", "refused", 1.1, RNG)
    assert (late(refused), refused.members["w1"].state) == ([], WorkerState.EJECTED)


def test_a_late_unlisted_worker_is_kept_for_a_while() -> None:
    """It may be too busy for its heartbeats as well."""
    pool = pool_of(1, 2).after_listing([], 1.0)
    for times in range(1, 7):
        pool = probed(pool, "w1", Probe.LATE, 1.0 + times)
        assert (late(pool), pool.members["w1"].ejection.failures) == (["w1"], times)
    assert "w1" not in probed(pool, "w1", Probe.LATE, 9.0).members
    assert routable(pool) == ["w2"]
