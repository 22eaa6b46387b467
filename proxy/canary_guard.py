"""Rolls a canary back that fails, by writing the model's plan.

Each proxy decides by what it has seen itself, once a second, so that it does not matter whether the terminal
that began the rollout is still open. The plan is written only if it is still the one that the proxy knows;
the other proxies then follow it. In p2p mode a proxy sees no tries: there only lost workers count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from tfleet.discovery.errors import RegistryError
from tfleet.discovery.plan import Plan, rolled_back
from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.balancing.canary_health import VersionCounts, rollback_reason
from tfleet.proxy.balancing.version_tries import VersionTries
from tfleet.proxy.balancing.versions import ModelVersion

_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """One rollout of a canary: what is tried, and what was counted before it began.

    The plan may change while it goes on, as the share grows.
    """

    canary: ModelVersion
    stable: ModelVersion
    canary_before: VersionCounts
    stable_before: VersionCounts


class CanaryGuard:
    """Looks at each canary once a second. `run` never returns.

    `replace` writes a model's plan, if the registry still has the one before: see PlanWatch. `on_rollback` is
    called with each canary that this guard has rolled back.
    """

    def __init__(
        self,
        tries: VersionTries,
        replace: Callable[[str, Plan, Plan], Awaitable[bool]],
        *,
        on_rollback: Callable[[ModelVersion], None] = lambda canary: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tries = tries
        self._replace = replace
        self._on_rollback = on_rollback
        self._sleep = sleep
        self._plans: Mapping[str, Plan] = {}
        self._trials: dict[str, _Trial] = {}
        """By model."""
        self._said: dict[str, str] = {}
        """Why a model's canary can't be rolled back."""
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<CanaryGuard trials={len(self._trials)}>"

    def use_plans(self, plans: Plans) -> None:
        """Guard the canaries of these plans from now on.

        A canary that comes a second time is judged by its second time alone.
        """
        self._plans = plans.models
        trials = {}
        for model, plan in plans.models.items():
            if plan.canary is not None and plan.canary.auto_rollback:
                canary, stable = ModelVersion(model, plan.canary.version), ModelVersion(model, plan.stable)
                going_on = self._trials.get(model)
                if going_on is None or (going_on.canary, going_on.stable) != (canary, stable):
                    going_on = _Trial(canary, stable, self._counts(canary), self._counts(stable))
                trials[model] = going_on
        self._trials = trials
        self._said = {model: reason for model, reason in self._said.items() if model in trials}

    async def run(self) -> None:
        """Look at all canaries until cancelled."""
        while True:
            await self._sleep(_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look at all canaries once."""
        for model, trial in list(self._trials.items()):
            stable = self._counts(trial.stable)
            reason = rollback_reason(
                self._counts(trial.canary).since(trial.canary_before),
                stable.since(trial.stable_before),
                stable.tries,
            )
            if reason:
                await self._roll_back(model, trial, reason)

    def _counts(self, version: ModelVersion) -> VersionCounts:
        return VersionCounts(self._tries.of(version), self._tries.lost(version))

    async def _roll_back(self, model: str, trial: _Trial, reason: str) -> None:
        if self._trials.get(model) is not trial:  # the plan has changed while another one was written
            return
        plan = self._plans[model]
        try:
            written = await self._replace(model, plan, rolled_back(plan, reason))
        except RegistryError as error:
            # The next look tries again. The same line each second would say nothing new.
            if self._said.get(model) != str(error):
                self._said[model] = str(error)
                event = "the canary can't be rolled back"
                self._log.error(event, model=model, error=str(error), reason=reason)
        else:
            if written:
                version = trial.canary.version
                self._log.warning("canary rolled back", model=model, version=version, reason=reason)
                self._on_rollback(trial.canary)
