"""A canary that fails is taken out by the proxy itself, once, and only while the plan is unchanged."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from structlog.testing import capture_logs

from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import StoredValue, StoredValues
from tfleet.discovery.errors import RegistryError, RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.discovery.plan import Canary, Plan, dump_plan, parse_plan, plan_key
from tfleet.discovery.plan_watch import Plans, PlanWatch
from tfleet.proxy.balancing.member import Probe
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.canary_guard import CanaryGuard

PLAN = Plan("1", Canary("2", 10.0))
KEY = plan_key("s", "m")


class OnePlan:
    """A store with the plan of the model `m`, which it gives once; then it blocks."""

    def __init__(self, plan: Plan, error: RegistryError | None = None) -> None:
        self._answer: StoredValues | None = StoredValues(7, {KEY: StoredValue(dump_plan(plan), 5)})
        self._error = error
        self.written: list[tuple[Plan | None, int]] = []

    async def below(self, prefix: str, index: int, wait_s: float) -> StoredValues:
        answer, self._answer = self._answer, None
        if answer is None:
            await asyncio.Event().wait()
            raise AssertionError
        return answer

    async def put(self, key: str, value: bytes, *, cas: int) -> bool:
        if self._error is not None:
            raise self._error
        self.written.append((parse_plan(value), cas))
        return True


class Guarded:
    """A table with two workers of each version, and a guard that looks when it is told to."""

    def __init__(self, store: OnePlan) -> None:
        self.table = WorkerTable(rng=random.Random(1))
        self.instances = [
            Instance(f"v{version}-{n}", Address("h", 10 * version + n), "m", str(version))
            for version in (1, 2)
            for n in (1, 2)
        ]
        self.table.apply_instances(self.instances)
        self.table.record_probes({one.id: (Probe.READY, "") for one in self.instances})
        self._watch = PlanWatch(store, "s", self._use_plans)
        self.rolled_back: list[ModelVersion] = []
        self.guard = CanaryGuard(self.table.tries, self._watch.replace, on_rollback=self.rolled_back.append)

    def _use_plans(self, plans: Plans) -> None:
        self.guard.use_plans(plans)

    async def follow(self) -> None:
        """Read the plan."""
        task = asyncio.ensure_future(self._watch.run())
        await self._watch.loaded.wait()
        task.cancel()
        await asyncio.wait([task])

    def count(self, version: int, answered: int, failed: int) -> None:
        instance = self.instances[2 * version - 1]
        for _ in range(answered):
            self.table.tries.answered(instance, 200)
        for _ in range(failed):
            self.table.tries.failed(instance)

    def lose(self, worker_id: str) -> None:
        self.table.record_failure(self.table.pool.members[worker_id], "refused")

    def restart(self, worker_id: str, new_id: str) -> None:
        """Its supervisor starts it again at once: a new id at the same address, and the old entry is gone."""
        kept = [one for one in self.instances if one.id != worker_id]
        gone = next(one for one in self.instances if one.id == worker_id)
        self.instances = [*kept, replace(gone, id=new_id)]
        self.table.apply_instances(self.instances)
        self.table.record_probes({worker_id: (Probe.UNREACHABLE, "another one"), new_id: (Probe.READY, "")})
        assert worker_id not in self.table.pool.members


async def test_failures_roll_the_canary_back() -> None:
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    guarded.count(2, answered=0, failed=50)  # before it got requests by this plan
    await guarded.follow()
    guarded.count(1, answered=200, failed=0)
    guarded.count(2, answered=15, failed=5)
    with capture_logs() as logs:
        await guarded.guard.look()
    reason = "5 of 20 tries failed, and 0 of 200 at the stable version in the same time"
    assert store.written == [(replace(PLAN, canary=None, reason=reason), 5)]
    assert [line["reason"] for line in logs if line["event"] == "canary rolled back"] == [reason]
    assert guarded.rolled_back == [ModelVersion("m", "2")]


async def test_what_was_before_the_plan_does_not_count() -> None:
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    guarded.count(1, answered=500, failed=0)
    guarded.count(2, answered=0, failed=50)
    await guarded.follow()
    guarded.count(2, answered=20, failed=0)
    await guarded.guard.look()
    assert store.written == []


async def test_a_canary_that_is_back_at_once_begins_anew() -> None:
    """Between two looks of the guard it was rolled back by hand and rolled out again."""
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    await guarded.follow()
    guarded.count(1, answered=500, failed=0)
    guarded.count(2, answered=0, failed=50)
    guarded.guard.use_plans(Plans({"m": replace(PLAN, canary=None)}))
    guarded.guard.use_plans(Plans({"m": PLAN}))
    await guarded.guard.look()
    assert store.written == []


async def test_news_of_another_model_end_no_trial() -> None:
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    await guarded.follow()
    guarded.lose("v2-1")
    guarded.guard.use_plans(Plans({"m": PLAN, "other": Plan("1", Canary("2", 10.0))}))
    guarded.lose("v2-2")
    await guarded.guard.look()
    assert [plan.reason for plan, _ in store.written if plan] == ["2 of its workers were lost"]


async def test_two_lost_workers_roll_it_back() -> None:
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    await guarded.follow()
    guarded.lose("v2-1")
    await guarded.guard.look()
    assert store.written == []
    guarded.lose("v2-2")
    await guarded.guard.look()
    assert [plan.reason for plan, _ in store.written if plan] == ["2 of its workers were lost"]


async def test_a_worker_that_is_back_at_once_was_lost() -> None:
    """Between two looks of the guard nothing is to be seen of it in the table."""
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    await guarded.follow()
    guarded.lose("v2-1")
    guarded.restart("v2-1", "v2-1b")
    await guarded.guard.look()
    assert store.written == [], "one, and not two"
    # Nobody has sent a request to this one.
    guarded.restart("v2-1b", "v2-1c")
    await guarded.guard.look()
    assert [plan.reason for plan, _ in store.written if plan] == ["2 of its workers were lost"]


async def test_a_worker_that_comes_and_goes_is_lost_once() -> None:
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    await guarded.follow()
    for _ in range(3):
        guarded.lose("v2-1")
        guarded.table.record_probes({"v2-1": (Probe.READY, "")})
    await guarded.guard.look()
    assert store.written == []


async def test_workers_that_are_stopped_are_not_lost() -> None:
    """They leave the registry, or not, and say that they drain; then they can't be reached."""
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    await guarded.follow()
    guarded.table.apply_instances([one for one in guarded.instances if one.id != "v2-1"])
    stopped = ("v2-1", "v2-2")
    guarded.table.record_probes(dict.fromkeys(stopped, (Probe.NOT_READY, "503")))
    guarded.table.record_probes(dict.fromkeys(stopped, (Probe.UNREACHABLE, "refused")))
    await guarded.guard.look()
    assert store.written == []


async def test_an_idle_worker_is_lost_when_its_checks_fail() -> None:
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    await guarded.follow()
    stable = tuple(one for one in guarded.instances if one.version == "1")
    guarded.table.apply_service_list(ServiceList(stable, failing_checks=("v2-1", "v2-2")))
    guarded.table.record_probes(dict.fromkeys(("v2-1", "v2-2"), (Probe.UNREACHABLE, "refused")))
    await guarded.guard.look()
    assert [plan.reason for plan, _ in store.written if plan] == ["2 of its workers were lost"]


async def test_the_stable_version_s_losses_do_not_count() -> None:
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    await guarded.follow()
    guarded.lose("v1-1")
    guarded.lose("v1-2")
    guarded.count(1, answered=0, failed=50)
    guarded.count(2, answered=50, failed=0)
    await guarded.guard.look()
    assert store.written == []


async def test_a_plan_may_forbid_it() -> None:
    store = OnePlan(Plan("1", Canary("2", 10.0, auto_rollback=False)))
    guarded = Guarded(store)
    await guarded.follow()
    guarded.count(1, answered=200, failed=0)
    guarded.count(2, answered=0, failed=50)
    await guarded.guard.look()
    assert store.written == []


async def test_a_registry_that_is_away_is_an_error_in_the_log() -> None:
    store = OnePlan(PLAN, RegistryUnavailableError("gone"))
    guarded = Guarded(store)
    await guarded.follow()
    guarded.count(1, answered=200, failed=0)
    guarded.count(2, answered=0, failed=50)
    with capture_logs() as logs:
        await guarded.guard.look()
    assert [line["error"] for line in logs if line["event"] == "the canary can't be rolled back"] == ["gone"]


async def test_the_same_error_is_logged_once() -> None:
    guarded = Guarded(OnePlan(PLAN, RegistryUnavailableError("gone")))
    await guarded.follow()
    guarded.lose("v2-1")
    guarded.lose("v2-2")
    with capture_logs() as logs:
        for _ in range(3):
            await guarded.guard.look()
    assert len(logs) == 1


async def test_a_canary_with_all_requests_is_guarded() -> None:
    """The stable version gets none meanwhile: its tries before are compared."""
    store = OnePlan(Plan("1", Canary("2", 100.0)))
    guarded = Guarded(store)
    guarded.count(1, answered=200, failed=0)
    await guarded.follow()
    guarded.count(2, answered=0, failed=20)
    await guarded.guard.look()
    assert [plan.reason for plan, _ in store.written if plan] == [
        "20 of 20 tries failed, and 0 of 200 at the stable version before"
    ]


async def test_a_fleet_with_ever_new_versions_stays_guarded() -> None:
    store = OnePlan(PLAN)
    guarded = Guarded(store)
    for number in range(1000):
        guarded.table.tries.answered(Instance(f"n{number}", Address("h", 1), "nightly", str(number)), 200)
    await guarded.follow()
    guarded.count(1, answered=200, failed=0)
    for number in range(1000):
        guarded.table.tries.answered(Instance(f"n{number}", Address("h", 1), "nightly", str(-number)), 200)
    guarded.count(2, answered=0, failed=20)
    await guarded.guard.look()
    assert len(store.written) == 1
