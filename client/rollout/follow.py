"""After a plan is written: look at the registry and the proxies until each proxy follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final

from tfleet.client.rollout import changes
from tfleet.client.rollout.changes import RolloutRequest, find_model
from tfleet.client.rollout.fleet_state import ModelState
from tfleet.client.rollout.proxy_plans import ShownPlan, ask_proxies
from tfleet.discovery.errors import RegistryError

if TYPE_CHECKING:
    from tfleet.client.http.transport import Transport
    from tfleet.client.rollout.plan_store import PlanChange, PlanStore

_LOOK_EVERY_S: Final = 0.5


class PlanOutcome(Enum):
    """How following a plan ended."""

    FOLLOWED = "followed"
    """Each registered proxy shows the plan."""

    NO_PROXY = "no proxy"
    """No proxy is registered."""

    CHANGED = "changed"
    """Somebody else has changed the plan: an operator, or the proxies, which rolled the canary back."""

    LATE = "late"
    """A proxy does not show the plan in time."""


@dataclass(frozen=True, slots=True)
class PlanProgress:
    """What was last seen: the model, the proxies, and how it ended; None while it goes on.

    `problem` is why the registry could not be asked, or that no proxy is registered; else empty.
    """

    model: ModelState
    proxies: tuple[ShownPlan, ...] = ()
    outcome: PlanOutcome | None = None
    problem: str = ""

    @property
    def missing(self) -> tuple[ShownPlan, ...]:
        """The proxies that do not show the plan."""
        return tuple(proxy for proxy in self.proxies if proxy.problem)


async def follow_plan(
    plans: PlanStore,
    transport: Transport,
    change: PlanChange,
    report: Callable[[PlanProgress], None],
    *,
    timeout_s: float,
) -> PlanProgress:
    """Look until each proxy shows the plan of the change, at most `timeout_s`. `report` gets each look."""
    seen = PlanProgress(replace(change.before, plan=change.plan))
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                seen = await _look(plans, transport, change, seen)
                if seen.outcome is not None:
                    return seen
                report(seen)
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        return replace(seen, outcome=PlanOutcome.LATE)


async def _look(
    plans: PlanStore, transport: Transport, change: PlanChange, seen: PlanProgress
) -> PlanProgress:
    name = change.before.name
    try:
        fleet, proxies = await plans.read(), await plans.proxies()
    except RegistryError as error:
        return replace(seen, problem=str(error))
    found = fleet.models.get(name, replace(change.before, versions={}, plan=None, modify_index=0))
    if _is_changed(found, change):
        return PlanProgress(found, seen.proxies, PlanOutcome.CHANGED)
    # An old state of another server of the registry: see _is_changed.
    found = replace(found, plan=change.plan, problem="")
    shown = await ask_proxies(transport, proxies, name, change.plan)
    if not shown:
        return PlanProgress(found, (), PlanOutcome.NO_PROXY, plans.no_proxy_line)
    missing = any(proxy.problem for proxy in shown)
    return PlanProgress(found, shown, None if missing else PlanOutcome.FOLLOWED)


def _is_changed(found: ModelState, change: PlanChange) -> bool:
    """Whether somebody else has written after the change.

    Any server of a Consul answers a stale read, also one that does not have the change yet: it still has the
    index that the change replaced.
    """
    if found.modify_index <= change.before.modify_index:
        return False
    return bool(found.problem) or found.plan != change.plan


class LateWorkerError(Exception):
    """No worker of the version was ready in time. The message is one line."""


async def await_worker(
    plans: PlanStore,
    name: str,
    asked: RolloutRequest,
    say: Callable[[str], None],
    report: Callable[[ModelState], None],
    *,
    timeout_s: float,
) -> None:
    """Return once a worker of the version is ready. Meanwhile a model without a plan gets one for what serves
    now. `report` gets each look.

    Raises LateWorkerError, RegistryError, and what `changes.rollout` raises.
    """
    model = find_model(await plans.read(), name)
    changes.rollout(model, asked, await_worker=True)
    if model.of(asked.version).ready:
        return
    kept = await plans.change(name, partial(changes.keep_stable, version=asked.version), say)
    if kept.written:
        say(f"{name}: version {kept.plan.stable} gets all requests until version {asked.version} is ready")
    try:
        async with asyncio.timeout(timeout_s):
            while not model.of(asked.version).ready:
                report(model)
                await asyncio.sleep(_LOOK_EVERY_S)
                model = find_model(await plans.read(), name)
    except TimeoutError:
        raise LateWorkerError(
            f"no worker of {name} version {asked.version} was ready within {timeout_s:g} s"
        ) from None
