import random
from collections import Counter

from tfleet.discovery.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.picker import LeastRequest, RoundRobin
from tfleet.proxy.pool import Member

WORKERS = tuple(Member(Instance(f"w{n}", Address("h", 1))) for n in range(4))


def test_round_robin_shares_evenly_and_in_order() -> None:
    pick = RoundRobin()
    assert [pick(WORKERS).id for _ in range(6)] == ["w0", "w1", "w2", "w3", "w0", "w1"]


def test_round_robin_goes_on_when_workers_come_and_go() -> None:
    pick = RoundRobin()
    for workers in (WORKERS, WORKERS[:1], WORKERS[2:]):
        assert pick(workers) in workers


def test_least_request_never_takes_the_busiest() -> None:
    busy = {"w0": 9, "w1": 1, "w2": 1, "w3": 1}
    pick = LeastRequest(busy.__getitem__, random.Random(1))
    shares = Counter(pick(WORKERS).id for _ in range(400))
    assert shares.keys() == {"w1", "w2", "w3"}


def test_least_request_draws_from_all_when_they_are_equally_busy() -> None:
    pick = LeastRequest(lambda _: 0, random.Random(1))
    shares = Counter(pick(WORKERS).id for _ in range(4000))
    assert min(shares.values()) > 800


def test_least_request_with_one_worker_takes_it() -> None:
    assert LeastRequest(lambda _: 0, random.Random(1))(WORKERS[:1]) is WORKERS[0]
