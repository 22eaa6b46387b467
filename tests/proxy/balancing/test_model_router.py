"""Requests go to the workers of the version that they name, or that the plan says."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tfleet.contract.address import Address
from tfleet.contract.problem import ProblemError
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.plan_watch import Plans
from tfleet.httpd.http1.request import RequestHead, read_request_head
from tfleet.proxy.balancing.member import Probe
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.versions import ANY, ModelVersion, Wanted
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.p2p.lease_shares import leased_workers

PLAN = Plan("1", Canary("2", 10.0))


NOW_S = 1_760_000_000.0


def head(*lines: str) -> RequestHead:
    return read_request_head("".join(f"{one}\r\n" for one in ("POST / HTTP/1.1", "Host: a", *lines)).encode())


HEAD = head()


def router_of(*labels: str) -> ModelRouter:
    """A worker for each `model/version`, all ready, named w0, w1 and so on."""
    table = WorkerTable(rng=random.Random(1), slow_start_s=0.0)
    served = (label.split("/") for label in labels)
    instances = [
        Instance(f"w{n}", Address("h", n + 1), model, version) for n, (model, version) in enumerate(served)
    ]
    table.apply_instances(instances)
    table.record_probes({one.id: (Probe.READY, "") for one in instances})
    return ModelRouter(table, clock=lambda: NOW_S)


def versions(router: ModelRouter, requests: int, wanted: Wanted = ANY, *lines: str) -> Counter[str]:
    """How many requests went to each version."""
    found: Counter[str] = Counter()
    for _ in range(requests):
        member = router.route(wanted, head(*lines)).candidates.pick()
        assert member is not None
        found[member.instance.version] += 1
    return found


def test_one_version_is_routed_to_as_ever() -> None:
    router = router_of("m/1", "m/1")
    route = router.route(ANY, HEAD)
    assert route.candidates is router.table
    assert route.order == ()


def test_two_models_never_mix() -> None:
    router = router_of("a/1", "b/1", "a/1")
    for model, ids in (("a", {"w0", "w2"}), ("b", {"w1"})):
        candidates = router.route(Wanted(model), HEAD).candidates
        assert {member.id for _ in range(20) if (member := candidates.pick())} == ids
        assert candidates.pick(ids) is None, "a retry stays with the model, too"
    with pytest.raises(ProblemError, match="several models"):
        router.route(ANY, HEAD)
    router.use_plans(Plans(default="b"))
    assert versions(router, 3, ANY) == {"1": 3}


def test_round_robin_is_even_within_each_version() -> None:
    router = router_of("m/1", "m/1", "m/2", "m/2", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 40.0))}))
    counts: Counter[str] = Counter()
    for _ in range(500):
        member = router.route(ANY, HEAD).candidates.pick()
        assert member is not None
        counts[member.id] += 1
    assert sorted(counts.values()) == [66, 67, 67, 150, 150]


def test_a_named_version_has_its_holders_only() -> None:
    router = router_of("m/1", "m/2", "m/1")
    assert versions(router, 5, Wanted("m", version="2")) == {"2": 5}
    assert router.route(Wanted("m", version="2"), HEAD).candidates.pick({"w1"}) is None


def test_a_version_that_is_loading_is_503() -> None:
    router = router_of("m/1", "m/2")
    router.table.record_not_ready(router.table.pool.members["w1"], "it is starting")
    with pytest.raises(ProblemError, match="no worker of model m, version 2 is ready") as caught:
        router.route(Wanted("m", version="2"), HEAD)
    assert (caught.value.problem.status, caught.value.problem.retry_after_s) == (503, 1)


def test_a_version_that_left_a_moment_ago_is_503() -> None:
    router = router_of("m/1", "m/2", "other/1")
    router.table.apply_instances([router.table.pool.members["w2"].instance])
    router.table.record_probes(dict.fromkeys(("w0", "w1"), (Probe.NOT_READY, "/readyz answers 503")))
    for wanted, status in (
        (Wanted("m", version="1"), 503),
        (Wanted("m"), 503),
        (Wanted("m", version="3"), 404),
    ):
        with pytest.raises(ProblemError) as caught:
            router.route(wanted, HEAD)
        assert caught.value.problem.status == status


def test_a_router_without_plans_does_not_guess() -> None:
    router = ModelRouter(router_of("m/1", "m/2").table, None)
    for wanted in (ANY, Wanted("m"), Wanted("m", label="stable")):
        with pytest.raises(ProblemError, match="has not read the plans") as caught:
            router.route(wanted, HEAD)
        assert caught.value.problem.status == 503
    assert versions(router, 1, Wanted("m", version="2")) == {"2": 1}
    router.use_plans(Plans({"m": Plan("1")}))
    assert versions(router, 10) == {"1": 10}


def test_the_only_model_does_not_answer_for_the_default_one() -> None:
    router = router_of("b/1")
    router.use_plans(Plans(default="a"))
    with pytest.raises(ProblemError, match="no worker of model a is ready"):
        router.route(ANY, HEAD)
    assert versions(router, 1, Wanted("b")) == {"1": 1}


def answer(router: ModelRouter, wanted: Wanted) -> tuple[int, int | None, str]:
    """The problem that answers a request: its status, Retry-After, and what it says."""
    with pytest.raises(ProblemError) as caught:
        router.route(wanted, HEAD)
    problem = caught.value.problem
    return problem.status, problem.retry_after_s, problem.detail


def test_the_canary_gets_its_share() -> None:
    router = router_of("m/1", "m/1", "m/2")
    router.use_plans(Plans({"m": PLAN}))
    assert versions(router, 1000) == {"1": 900, "2": 100}
    router.use_plans(Plans({"m": Plan("1", Canary("2", 100.0))}))
    assert versions(router, 100) == {"2": 100}
    router.use_plans(Plans({"m": Plan("2", previous="1")}))
    assert versions(router, 100) == {"2": 100}


def mirrored(router: ModelRouter, requests: int, wanted: Wanted = ANY) -> int:
    """How many of so many requests are mirrored."""
    return sum(router.mirror_turn(wanted, router.route(wanted, HEAD)) is not None for _ in range(requests))


def test_a_share_of_the_stable_version_s_requests_is_mirrored() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 0.0, mirror=5.0))}))
    assert mirrored(router, 1000) == 50
    assert mirrored(router, 100, Wanted("m")) == 5
    router.use_plans(Plans({"m": Plan("1", Canary("2", 50.0, mirror=20.0))}))
    assert mirrored(router, 1000) == 100, "the canary's own requests are no copies"
    assert mirrored(router, 100, Wanted("m", version="1")) == 0
    router.use_plans(Plans({"m": Plan("1", Canary("2", 50.0))}))
    assert mirrored(router, 100) == 0


def test_without_a_stable_worker_nothing_is_mirrored() -> None:
    router = router_of("m/1", "m/2", "m/0")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 0.0, mirror=100.0), previous="0")}))
    router.table.record_failure(router.table.pool.members["w0"], "refused")
    assert mirrored(router, 10) == 0


def test_a_canary_that_is_gone_falls_back_and_is_counted() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": PLAN}))
    router.table.record_failure(router.table.pool.members["w1"], "refused")
    assert versions(router, 100) == {"1": 100}
    assert router.fallbacks.of(ModelVersion("m", "2")) == 10


@pytest.mark.parametrize("wanted", [ANY, Wanted("m")])
def test_a_stable_version_that_nobody_has_is_counted(wanted: Wanted) -> None:
    router = router_of("m/2")
    router.use_plans(Plans({"m": Plan("3", previous="2")}))
    assert versions(router, 10, wanted) == {"2": 10}
    assert router.fallbacks.of(ModelVersion("m", "3")) == 10
    router.use_plans(Plans({"m": Plan("2", Canary("4", 20.0))}))
    assert versions(router, 10, wanted) == {"2": 10}
    assert router.fallbacks.of(ModelVersion("m", "4")) == 2
    assert router.fallbacks.of(ModelVersion("m", "2")) == 0
    assert versions(router, 10, Wanted("m", version="2")) == {"2": 10}
    assert router.fallbacks.of(ModelVersion("m", "4")) == 2


def test_what_nobody_answers_is_no_fallback() -> None:
    router = router_of("m/2", "n/1")
    router.use_plans(Plans({"m": Plan("3")}))
    router.table.record_failure(router.table.pool.members["w0"], "refused")
    assert answer(router, Wanted("m"))[0] == 503
    assert router.fallbacks.of(ModelVersion("m", "3")) == 0


def test_a_failed_try_at_the_canary_goes_to_the_stable_version() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 100.0))}))
    candidates = router.route(ANY, HEAD).candidates
    first = candidates.pick()
    assert first is not None
    assert first.id == "w1"
    assert candidates.has_other({"w1"})
    second = candidates.pick({"w1"})
    assert second is not None
    assert second.id == "w0"


def test_a_late_worker_comes_after_another_version_s_good_one() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 100.0))}))
    router.table.record_failure(router.table.pool.members["w1"], "late", late=True)
    assert versions(router, 10) == {"1": 10}
    router.table.record_failure(router.table.pool.members["w0"], "late", late=True)
    assert versions(router, 10) == {"2": 10}


@pytest.mark.parametrize(
    ("sticky", "line"), [("request-id", "X-Request-Id: {}"), ("header:X-Session", "x-session: {}")]
)
def test_sticky_clients_stay(sticky: str, line: str) -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 30.0), sticky=sticky)}))
    found = {client: versions(router, 5, ANY, line.format(client)) for client in range(300)}
    assert all(len(counts) == 1 for counts in found.values()), "each client has one version"
    share = sum(counts["2"] > 0 for counts in found.values()) / len(found)
    assert 0.2 < share < 0.4


def test_an_empty_sticky_header_is_none() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 10.0), sticky="header:X-Session")}))
    assert versions(router, 100, ANY, "X-Session:") == {"1": 90, "2": 10}


def test_without_the_sticky_header_requests_take_turns() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 30.0), sticky="header:X-Session")}))
    assert versions(router, 100) == {"1": 70, "2": 30}


@pytest.mark.parametrize(
    ("stable", "canaries", "percent", "n"),
    [(2, 1, 10.0, 8), (1, 3, 10.0, 4), (1, 1, 80.0, 2), (9, 1, 1.0, 64)],
)
def test_a_lease_gives_the_canary_its_share(stable: int, canaries: int, percent: float, n: int) -> None:
    router = router_of(*["m/1"] * stable, *["m/2"] * canaries)
    router.use_plans(Plans({"m": Plan("1", Canary("2", percent))}))
    leased = leased_workers(router, ANY, HEAD, n, ())
    weights: Counter[str] = Counter()
    for one in leased:
        assert 0 < one.weight <= 1
        weights[one.member.instance.version] += one.weight  # type: ignore[assignment] # sums are as good
    assert abs(100 * weights["2"] / weights.total() - percent) < 0.01


def test_a_slow_start_takes_nothing_from_the_canary_s_share() -> None:
    now_s = [100.0]
    table = WorkerTable(rng=random.Random(1), clock=lambda: now_s[0], slow_start_s=30.0)
    stable = [Instance(f"s{n}", Address("h", n + 1), "m", "1") for n in range(2)]
    canaries = [Instance(f"c{n}", Address("h", n + 11), "m", "2") for n in range(2)]
    for age_s, instances in ((0.0, stable), (100.0, canaries[:1]), (12.0, canaries[1:])):
        now_s[0] += age_s
        table.apply_instances([*(one.instance for one in table.pool.members.values()), *instances])
        table.record_probes({one.id: (Probe.READY, "") for one in instances})
    assert [round(table.weight(table.pool.members[one.id]), 2) for one in canaries] == [0.4, 0.1]
    router = ModelRouter(table)
    router.use_plans(Plans({"m": PLAN}))
    weights = {one.member.id: one.weight for one in leased_workers(router, ANY, HEAD, 4, ())}
    assert set(weights) == {"s0", "s1", "c0"}, "one of four is the canary's part"
    assert weights["c0"] / sum(weights.values()) == pytest.approx(0.1)
    router.use_plans(Plans({"m": Plan("1", Canary("2", 50.0))}))
    weights = {one.member.id: one.weight for one in leased_workers(router, ANY, HEAD, 4, ())}
    assert weights["c0"] + weights["c1"] == pytest.approx(weights["s0"] + weights["s1"])
    assert weights["c0"] == pytest.approx(4 * weights["c1"]), "within the version it counts"
    assert max(weights.values()) == 1.0


def test_a_lease_without_the_canary_has_the_stable_version() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": PLAN}))
    assert [one.member.id for one in leased_workers(router, ANY, HEAD, 4, {"w1"})] == ["w0"]
    assert [one.member.id for one in leased_workers(router, Wanted("m", version="2"), HEAD, 4, ())] == ["w1"]


def test_what_fails_at_the_canary_goes_to_the_stable_version() -> None:
    router = router_of("m/1", "m/2", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 100.0))}))
    candidates = router.route(ANY, HEAD).candidates
    first = candidates.pick()
    assert first is not None
    assert first.instance.version == "2"
    again = candidates.pick()
    assert again is not None
    assert again.instance.version == "2", "nothing has failed yet"
    second = candidates.pick({first.id, again.id})
    assert second is not None
    assert second.instance.version == "1"
    last = candidates.pick({first.id, second.id})
    assert last is not None
    assert last.id == again.id, "better than no answer"
    stable = router.route(Wanted("m", version="2"), HEAD).candidates
    named = stable.pick({first.id})
    assert named is not None
    assert named.instance.version == "2", "whoever names it gets no other"


def test_a_lost_canary_is_remembered_by_its_request() -> None:
    router = router_of("m/1", "m/2", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 100.0))}))
    candidates = router.route(ANY, HEAD).candidates
    first = candidates.pick()
    assert first is not None
    left = [member.instance for member in router.table.pool.members.values() if member.id != first.id]
    router.table.apply_instances(left)
    router.table.record_probes({first.id: (Probe.UNREACHABLE, "")})
    assert first.id not in router.table.pool.members
    second = candidates.pick({first.id})
    assert second is not None
    assert second.instance.version == "1"
