"""Workers that could answer and get nothing: those in maintenance, and those that nobody lists any more."""

import pytest

from tests.proxy.balancing.test_pool import (
    RNG,
    answered_with_errors,
    in_maintenance,
    instance,
    late,
    pool_of,
    probed,
    routable,
)
from tfleet.proxy.balancing.member import Probe, WorkerState
from tfleet.proxy.balancing.pool import Pool


def test_a_worker_in_maintenance_gets_nothing_whatever_it_does() -> None:
    pool = in_maintenance(pool_of(1, 2), 1.0, ["w1", "w2"], ["w1"])
    assert routable(pool) == ["w2"]
    for changed in (
        *(probed(pool, "w1", found, 2.0) for found in Probe),
        pool.after_failure("w1", "reset", 2.0, RNG),
        pool.after_errors("w1", "answered 500", 2.0, RNG),
    ):
        member = changed.members["w1"]
        assert (member.state, member.last_error) == (WorkerState.DRAINING, "maintenance: x")
        assert (routable(changed), late(changed), changed.probes_due(99.0)) == (["w2"], [], ())


def test_a_worker_in_maintenance_is_no_last_resort() -> None:
    pool = pool_of(1, 2).after_failure("w1", "makes no progress", 1.0, RNG, late=True)
    assert late(in_maintenance(pool, 2.0, ["w1", "w2"], ["w1"])) == []
    pool = in_maintenance(answered_with_errors(pool_of(1, 2), 1), 2.0, ["w1", "w2"], ["w1"])
    assert (pool.ejected_for_errors, routable(pool.after_failure("w2", "refused", 3.0, RNG))) == ((), [])


def test_after_maintenance_a_worker_serves_at_the_next_probe() -> None:
    pool = in_maintenance(pool_of(1, 2), 1.0, ["w1", "w2"], ["w1"]).after_listing(
        [instance(1), instance(2)], 60.0
    )
    assert (routable(pool), [m.id for m in pool.probes_due(60.0)]) == (["w2"], ["w1"])
    assert pool.members["w1"].last_error == ""
    assert routable(probed(pool, "w1", Probe.READY, 60.0)) == ["w1", "w2"]


def test_after_maintenance_a_critical_worker_serves_if_ready() -> None:
    pool = in_maintenance(pool_of(1, 2), 1.0, ["w1", "w2"], ["w1"]).after_listing(
        [instance(2)], 60.0, failing_checks={"w1"}
    )
    assert routable(probed(pool, "w1", Probe.READY, 60.0)) == ["w1", "w2"]


def test_maintenance_of_all_leaves_no_worker() -> None:
    assert routable(in_maintenance(pool_of(1, 2), 1.0, ["w1", "w2"], ["w1", "w2"])) == []


def test_a_newcomer_in_maintenance_is_shown_as_draining() -> None:
    pool = in_maintenance(Pool(), 1.0, ["w1"], ["w1"])
    assert pool.members["w1"].state is WorkerState.DRAINING
    assert pool.probes_due(9.0) == ()


def test_an_unlisted_worker_in_maintenance_stays_out() -> None:
    """Nobody has said that it is over. One that is gone is dropped, as others are."""
    pool = in_maintenance(pool_of(1, 2), 1.0, ["w1", "w2"], ["w1"]).after_listing([], 2.0)
    assert routable(probed(pool, "w1", Probe.READY, 2.0)) == ["w2"]
    assert "w1" not in probed(pool, "w1", Probe.UNREACHABLE, 2.0).members


def absent(pool: Pool, *listed: int, since_s: float = 0.0) -> Pool:
    return pool.after_listing([instance(n) for n in listed], since_s)


def heard_for_a_minute(pool: Pool, since_s: float = 0.0) -> Pool:
    for later_s in (0.0, 30.0, 60.0):
        pool = pool.after_registry_check(since_s + later_s, healthy=True)
    return pool


def test_a_worker_absent_for_a_minute_gets_no_requests() -> None:
    pool = absent(pool_of(1, 2), 1)
    assert routable(pool.after_registry_check(30.0, healthy=True)) == ["w1", "w2"]
    assert list(heard_for_a_minute(pool).members) == ["w1"]


def test_absence_counts_only_with_a_healthy_registry() -> None:
    pool = (
        absent(pool_of(1, 2), 1)
        .after_registry_check(30.0, healthy=True)
        .after_registry_check(50.0, healthy=False)
    )
    assert routable(pool.after_registry_check(70.0, healthy=True)) == ["w1", "w2"]
    assert routable(pool.after_registry_check(109.0, healthy=True)) == ["w1"]


def test_a_worker_listed_as_critical_is_not_absent() -> None:
    pool = pool_of(1, 2).after_listing([instance(1)], 0.0, failing_checks={"w2"})
    assert routable(heard_for_a_minute(pool)) == ["w1", "w2"]


def test_a_worker_listed_again_in_time_is_not_absent() -> None:
    pool = absent(absent(absent(pool_of(1, 2), 1), 1, 2, since_s=40.0), 1, since_s=50.0)
    assert routable(pool.after_registry_check(100.0, healthy=True)) == ["w1", "w2"]
    assert routable(pool.after_registry_check(110.0, healthy=True)) == ["w1"]


@pytest.mark.parametrize(
    ("workers", "listed", "left"),
    [
        ([1, 2], [1], ["w1"]),
        ([1, 2, 3, 4], [1, 2], ["w1", "w2"]),
        ([1, 2, 3], [1], ["w1", "w2", "w3"]),
        ([1], [], ["w1"]),
        ([1, 2, 3, 4], [], ["w1", "w2", "w3", "w4"]),
    ],
)
def test_at_most_half_are_dropped_as_absent(workers: list[int], listed: list[int], left: list[str]) -> None:
    assert routable(heard_for_a_minute(absent(pool_of(*workers), *listed))) == left


def test_absent_workers_that_never_served_are_dropped() -> None:
    """However many of the known ones are absent, too."""
    pool = pool_of(1, 2).after_listing([instance(n) for n in (1, 2, 3, 4)], 0.0)
    assert set(heard_for_a_minute(absent(pool)).members) == {"w1", "w2"}


def test_unknown_workers_do_not_count_for_the_half() -> None:
    """A registry that lists strangers in the place of our workers takes none of these."""
    pool = pool_of(1, 2).after_listing([instance(n) for n in range(3, 20)], 0.0)
    assert routable(heard_for_a_minute(pool)) == ["w1", "w2"]
