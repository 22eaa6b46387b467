import random
from collections import Counter

import pytest

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.policies import LeaseRotation
from tfleet.proxy.balancing.pool import PoolMember, Probe
from tfleet.proxy.balancing.worker_table import WorkerTable


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
    fleet = WorkerTable(rng=random.Random(1))
    fleet.synced([member.instance for member in members(3)])
    fleet.probed({f"w{one}": (Probe.READY, "") for one in range(3)})
    fleet.failed(fleet.pool.members["w0"], "no answer", late=True)
    fleet.failed(fleet.pool.members["w1"], "refused")
    assert ids(fleet.lease(8)) == ["w2"]
    assert ids(fleet.lease(8, {"w2"})) == ["w0"]
    assert ids(fleet.lease(8, {"w2", "w0"})) == []
