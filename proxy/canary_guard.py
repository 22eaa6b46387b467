"""Rolls a canary back that fails, by writing the model's plan.

Each proxy decides by what it has seen itself, once a second, so that it does not matter whether the terminal
that began the rollout is still open. The plan is written only if it is still the one that the proxy knows;
the other proxies then follow it. In p2p mode a proxy sees no tries: there only lost workers count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from tfleet.discovery.errors import RegistryError
from tfleet.discovery.plan import Canary, Plan, rolled_back
from tfleet.discovery.plan_watch import PlanWatch
from tfleet.proxy.balancing.canary_health import rollback_reason
from tfleet.proxy.balancing.version_tries import Tries
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.balancing.worker_table import WorkerTable

_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """What was counted before a canary got requests."""

    canary_before: Tries
    stable_before: Tries
    lost_before: int


class CanaryGuard:
    """Looks at each canary once a second. `run` never returns."""

    def __init__(
        self,
        table: WorkerTable,
        watch: PlanWatch,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._table = table
        self._watch = watch
        self._sleep = sleep
        self._trials: dict[tuple[str, str, str], _Trial] = {}
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<CanaryGuard trials={len(self._trials)}>"

    async def run(self) -> None:
        """Look at all canaries until cancelled."""
        while True:
            await self._sleep(_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look at all canaries once."""
        running = {}
        for model, plan in self._watch.plans.models.items():
            if plan.canary is not None and plan.canary.auto_rollback:
                key = (model, plan.stable, plan.canary.version)
                running[key] = self._trials.get(key) or self._begin(model, plan, plan.canary)
                await self._judge(model, plan, plan.canary, running[key])
        # A canary that comes a second time is judged by its second time alone.
        self._trials = running

    def _begin(self, model: str, plan: Plan, canary: Canary) -> _Trial:
        tries, version = self._table.tries, ModelVersion(model, canary.version)
        return _Trial(tries.of(version), tries.of(ModelVersion(model, plan.stable)), tries.lost(version))

    async def _judge(self, model: str, plan: Plan, canary: Canary, trial: _Trial) -> None:
        tries, version = self._table.tries, ModelVersion(model, canary.version)
        reason = rollback_reason(
            tries.of(version).since(trial.canary_before),
            tries.of(ModelVersion(model, plan.stable)).since(trial.stable_before),
            tries.lost(version) - trial.lost_before,
        )
        if not reason:
            return
        try:
            written = await self._watch.replace(model, plan, rolled_back(plan, reason))
        except RegistryError as error:
            self._log.error("the canary can't be rolled back", model=model, error=str(error), reason=reason)
        else:
            if written:
                self._log.warning("canary rolled back", model=model, version=canary.version, reason=reason)
