"""Read models and plans from the registry, and change a plan with check-and-set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from tfleet.client.rollout.changes import ended, find_model, same_rollout
from tfleet.client.rollout.fleet_state import FleetState, ModelState, fleet_state
from tfleet.client.text import printable
from tfleet.contract.names import proxies_of
from tfleet.discovery.consul.health import ConsulHealth
from tfleet.discovery.consul.key_values import ConsulKeyValues, key_rule
from tfleet.discovery.errors import RegistryRefusedError
from tfleet.discovery.plan import Plan, default_key, dump_default, dump_plan, plan_key, service_prefix

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tfleet.discovery.instance import Instance
    from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry

_P = TypeVar("_P", bound=Plan | None)

_WAIT_S: Final = 5.0
_TRIES: Final = 5
_TRY_AGAIN_AFTER_S: Final = 0.2


class LostRaceError(Exception):
    """Somebody else has changed the plan meanwhile, and nothing was written. The message is one line."""


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A change of a plan: the model as it was read, and the plan after it. It was not `written` if the plan
    was like that already.
    """

    before: ModelState
    plan: Plan
    written: bool


class PlanStore:
    """The models and plans of one service. Use it with `async with`. Each method raises a RegistryError."""

    def __init__(self, registry: ConsulRegistry | EmbeddedRegistry, service: str) -> None:
        self.service = service
        self._registry = registry
        self._embedded = False
        self._health = ConsulHealth(registry.address, wait_s=_WAIT_S, access=registry.access)
        self._values = ConsulKeyValues(registry.address, wait_s=_WAIT_S, access=registry.access)

    def __repr__(self) -> str:
        return f"<PlanStore of {self.service} in {self._registry}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._health.close()
        await self._values.close()

    async def read(self) -> FleetState:
        """All models, with their plans."""
        prefix = service_prefix(self.service)
        listed = await self._health.service(self.service, 0, _WAIT_S)
        stored = await self._values.below(prefix, 0, _WAIT_S)
        if not listed.complete:
            raise self._hidden("workers", self._registry.access.acl_hint(self.service))
        if not stored.complete:
            raise self._hidden("plans", f"the token needs {key_rule(prefix, 'read')}")
        fleet = fleet_state(self.service, listed.services, stored.values, time.time())
        may_be_hidden = not listed.embedded and not any(model.versions for model in fleet.models.values())
        hint = self._registry.access.acl_hint(self.service) if may_be_hidden else ""
        return replace(fleet, acl_hint=hint)

    async def proxies(self) -> tuple[Instance, ...]:
        """The registered proxies of the service whose checks pass."""
        listed = await self._health.service(proxies_of(self.service), 0, _WAIT_S)
        self._embedded = listed.embedded
        return listed.instances

    @property
    def no_proxy_line(self) -> str:
        """What to say if no proxy is listed: a Consul leaves out what the token may not read."""
        proxies = proxies_of(self.service)
        hint = "" if self._embedded else f"; {self._registry.access.acl_hint(proxies)}"
        return f"no proxy is registered as {proxies} that could show it{hint}"

    async def change(
        self, name: str, decide: Callable[[ModelState], Plan], report: Callable[[str], None]
    ) -> PlanChange:
        """Write the plan that `decide` makes of the model's state. After a lost race it decides again.

        Raises LostRaceError if the plan has another stable version or canary by then: what was asked for may
        not be what is wanted any more. Raises what `decide` raises, and RefusedChangeError for an unknown
        model.
        """
        return PlanChange(*await self._write(name, decide, report))

    async def end(self, name: str, report: Callable[[str], None]) -> ModelState:
        """End the plan of a model, also one that can't be read. Returns the model's state without it.

        Raises LostRaceError as `change` does, and RefusedChangeError for an unknown model or one without a
        plan.
        """
        model, _, _ = await self._write(name, ended, report)
        return replace(model, plan=None, problem="")

    async def _write(
        self, name: str, decide: Callable[[ModelState], _P], report: Callable[[str], None]
    ) -> tuple[ModelState, _P, bool]:
        """The model as it was read, the plan after it, and whether that had to be written. None ends it."""
        first: ModelState | None = None
        for attempt in range(_TRIES):
            fleet = await self.read()
            if fleet.acl_hint:
                report(f"no worker is listed: {fleet.acl_hint}")
            model = find_model(fleet, name)
            if first is not None and not same_rollout(first.plan, model.plan):
                raise LostRaceError(_changed(model))
            first = first or model
            plan = decide(model)
            if plan == model.plan and not model.problem:
                return model, plan, False
            key = plan_key(self.service, name)
            if await self._values.put(key, dump_plan(plan), cas=model.modify_index):
                return model, plan, True
            report(f"somebody else has changed the plan of {printable(name)} meanwhile: reading it again")
            await asyncio.sleep(_TRY_AGAIN_AFTER_S * attempt)
        raise LostRaceError(
            f"somebody else changes the plan of {printable(name)} all the time: gave up after {_TRIES} tries"
        )

    async def set_default(self, name: str, report: Callable[[str], None]) -> FleetState:
        """Set the model that requests without a name are for; an empty name sets none. Returns the state
        after it. Raises LostRaceError, and RefusedChangeError for an unknown model.
        """
        for attempt in range(_TRIES):
            fleet = await self.read()
            if name:
                find_model(fleet, name)
            if fleet.default == name and not fleet.default_problem:
                return fleet
            key = default_key(self.service)
            if await self._values.put(key, dump_default(name), cas=fleet.default_index):
                return await self.read()
            report("somebody else has changed the default model meanwhile: reading it again")
            await asyncio.sleep(_TRY_AGAIN_AFTER_S * attempt)
        raise LostRaceError(
            f"somebody else changes the default model all the time: gave up after {_TRIES} tries"
        )

    def _hidden(self, what: str, hint: str) -> RegistryRefusedError:
        where = self._registry.address
        return RegistryRefusedError(f"the registry at {where} hides {what} of {self.service}: {hint}")


def _changed(model: ModelState) -> str:
    """What the plan is now that somebody else has changed it."""
    plan, name = model.plan, printable(model.name)
    if plan is None:
        now = f"it can't be read: {model.problem}" if model.problem else "it has ended"
    elif plan.canary is not None:
        now = f"version {plan.stable} is stable, and version {plan.canary.version} the canary"
    else:
        why = f": {plan.reason}" if plan.reason else ""
        now = f"version {plan.stable} is stable, and there is no canary{why}"
    return f"somebody else has changed the plan of {name} meanwhile, and nothing was written. Now {now}"
