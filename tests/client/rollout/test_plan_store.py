"""Plans are changed in both registries, and nothing that somebody else wrote meanwhile is overwritten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.registered_models import RegisteredModels
from tfleet.client.rollout import changes
from tfleet.client.rollout.changes import RefusedChangeError, RolloutRequest
from tfleet.client.rollout.fleet_state import ModelState
from tfleet.client.rollout.plan_store import LostRaceError, PlanChange, PlanStore
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.registry import ConsulRegistry

RUNNING = Plan("1", Canary("2", 10.0))


@pytest.fixture(autouse=True)
def _two_versions(registered: RegisteredModels) -> None:
    registered.add("flowers", "1", 2)
    registered.add("flowers", "2")


async def change(
    registered: RegisteredModels, decide: Callable[[ModelState], Plan], said: list[str] | None = None
) -> PlanChange:
    async with PlanStore(ConsulRegistry(registered.registry), registered.service) as plans:
        return await plans.change("flowers", decide, (said if said is not None else []).append)


def share(percent: float) -> Callable[[ModelState], Plan]:
    return lambda model: changes.rollout(model, RolloutRequest("2", percent=percent))


class SecondWriter:
    """Decides, and lets somebody else write just before the first decisions are written."""

    def __init__(
        self, registered: RegisteredModels, decide: Callable[[ModelState], Plan], *others: Plan
    ) -> None:
        self._registered = registered
        self._decide = decide
        self._others = list(others)

    def __call__(self, model: ModelState) -> Plan:
        plan = self._decide(model)
        if self._others:
            self._registered.write("flowers", self._others.pop(0))
        return plan


async def test_a_first_plan_is_written(registered: RegisteredModels) -> None:
    done = await change(registered, share(10.0))
    assert (done.written, done.plan, done.before.plan) == (True, RUNNING, None)
    assert registered.plan("flowers") == RUNNING


async def test_an_ended_plan_is_replaced(registered: RegisteredModels) -> None:
    registered.write("flowers", None)
    await change(registered, share(10.0))
    assert registered.plan("flowers") == RUNNING


async def test_what_is_so_already_is_not_written(registered: RegisteredModels) -> None:
    registered.write("flowers", RUNNING)
    before = registered.stored("flowers")
    done = await change(registered, share(10.0))
    assert not done.written
    assert registered.stored("flowers") == before


async def test_another_setting_survives_a_lost_race(registered: RegisteredModels) -> None:
    registered.write("flowers", RUNNING)
    theirs = replace(RUNNING, labels={"prod": "1"})
    said: list[str] = []
    await change(registered, SecondWriter(registered, share(50.0), theirs), said)
    assert registered.plan("flowers") == Plan("1", Canary("2", 50.0), labels={"prod": "1"})
    assert said == ["somebody else has changed the plan of flowers meanwhile: reading it again"]


@pytest.mark.parametrize(
    ("theirs", "now"),
    [
        (Plan("1", reason="5 of 9 failed"), "version 1 is stable, and there is no canary: 5 of 9 failed"),
        (Plan("2", previous="1"), "version 2 is stable, and there is no canary"),
        (Plan("1", Canary("3", 5.0)), "version 1 is stable, and version 3 the canary"),
    ],
)
@pytest.mark.parametrize(
    "decide", [share(50.0), changes.promote, lambda model: changes.rollback(model, None)]
)
async def test_another_rollout_meanwhile_ends_the_change(
    registered: RegisteredModels, theirs: Plan, now: str, decide: Callable[[ModelState], Plan]
) -> None:
    registered.write("flowers", RUNNING)
    with pytest.raises(LostRaceError) as caught:
        await change(registered, SecondWriter(registered, decide, theirs))
    assert str(caught.value).endswith(f"nothing was written. Now {now}")
    assert registered.plan("flowers") == theirs


@pytest.mark.process
async def test_a_plan_that_changes_all_the_time_is_left_alone(registered: RegisteredModels) -> None:
    registered.write("flowers", RUNNING)
    others = [Plan("1", Canary("2", float(percent))) for percent in range(20, 30)]
    with pytest.raises(LostRaceError, match="all the time: gave up after 5 tries"):
        await change(registered, SecondWriter(registered, share(50.0), *others))
    assert registered.plan("flowers") == others[4]


async def test_labels_set_at_once_all_stay(registered: RegisteredModels) -> None:
    registered.write("flowers", RUNNING)

    def label(name: str) -> Callable[[ModelState], Plan]:
        return lambda model: changes.rollout(model, RolloutRequest("1", label=name))

    names = ("a", "b", "c")
    await asyncio.gather(*(change(registered, label(name)) for name in names))
    plan = registered.plan("flowers")
    assert plan is not None
    assert plan.labels == dict.fromkeys(names, "1")


async def test_a_plan_that_can_t_be_read_is_not_overwritten(registered: RegisteredModels) -> None:
    document = b'{"stable": "1", "shares": {"1": 40}}'
    registered.write("flowers", document)
    with pytest.raises(RefusedChangeError, match=r"can't be read, and was not changed: .*shares"):
        await change(registered, share(50.0))
    stored = registered.stored("flowers")
    assert stored is not None
    assert stored[0] == document


async def end(registered: RegisteredModels) -> ModelState:
    async with PlanStore(ConsulRegistry(registered.registry), registered.service) as plans:
        return await plans.end("flowers", lambda _: None)


@pytest.mark.parametrize("document", [b'{"stable": "1", "shares": 4}', b"no JSON", b"{" * 20_000])
async def test_a_plan_that_can_t_be_read_ends(registered: RegisteredModels, document: bytes) -> None:
    registered.write("flowers", document)
    left = await end(registered)
    assert (left.plan, left.problem, left.serving) == (None, "", "1")
    assert registered.plan("flowers") is None


async def test_a_plan_ends_only_once(registered: RegisteredModels) -> None:
    registered.write("flowers", RUNNING)
    await end(registered)
    before = registered.stored("flowers")
    with pytest.raises(RefusedChangeError, match="flowers has no plan that could end"):
        await end(registered)
    assert registered.stored("flowers") == before


async def test_the_default_model_is_set_and_unset(registered: RegisteredModels) -> None:
    registered.add("cats", "7")
    said: list[str] = []
    async with PlanStore(ConsulRegistry(registered.registry), registered.service) as plans:
        assert (await plans.set_default("", said.append)).default_model == ""
        assert (await plans.set_default("cats", said.append)).default_model == "cats"
        with pytest.raises(RefusedChangeError, match="there is no model dogs: there is cats, flowers"):
            await plans.set_default("dogs", said.append)
        assert (await plans.read()).default == "cats"
        assert (await plans.set_default("", said.append)).default_model == ""
