"""Follows the plans of a service in the registry's key-value store, for as long as the process lives.

The rules:

- A failed query changes nothing: the last plans stay in use. So does the last good plan of a model whose
  document can't be read.
- A plan ends only by its marker. One that has vanished stays in use and is written back, if nobody has
  written another one meanwhile: the registry has lost its state. Only what a registry with a leader, which
  hides nothing, does not have counts as vanished.
- After a failure the next query does not block (index 0): a registry that restarted may have lower indexes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from tfleet.discovery.consul.http_client import WAIT_S, next_index
from tfleet.discovery.consul.key_values import KeyValueStore, StoredValues
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.plan import (
    BadPlanError,
    Plan,
    dump_plan,
    model_of_key,
    parse_plan,
    plan_key,
    plan_prefix,
)
from tfleet.discovery.watch import Pacing

_LOG_EVERY_FAILURES: Final = 16

Plans = Mapping[str, Plan]
"""The plan of each model that has one."""


class PlanWatch:
    """Runs blocking queries one after the other, and passes changed plans to `on_change`.

    `run` never returns. An exception from it is fatal. `loaded` is set after the first answer.
    """

    def __init__(
        self,
        store: KeyValueStore,
        service: str,
        on_change: Callable[[Plans], None],
        *,
        pacing: Pacing | None = None,
    ) -> None:
        self.loaded = asyncio.Event()
        self.plans: Plans = {}
        self._store = store
        self._service = service
        self._on_change = on_change
        self._pacing = pacing or Pacing()
        self._log: Any = structlog.get_logger().bind(service=service)
        self._index = 0
        self._unchanged_in_a_row = 0
        self._modified: dict[str, int] = {}
        """The modify index of each model's key, for check-and-set."""
        self._refused: dict[str, str] = {}
        """Why a model's document can't be read."""

    def __repr__(self) -> str:
        return f"<PlanWatch {self._service} index={self._index} {len(self.plans)} plans>"

    async def run(self) -> None:
        """Watch until cancelled."""
        failures = 0
        while True:
            try:
                await self._query()
            except RegistryError as error:
                failures += 1
                self._index = 0  # see the rules above
                if failures == 1 or failures % _LOG_EVERY_FAILURES == 0:
                    self._log.warning("the plans can't be watched", error=str(error), failures=failures)
                await self._pacing.back_off(failures)
            else:
                if failures:
                    self._log.info("the plans can be watched again", failures=failures)
                failures = 0

    async def replace(self, model: str, before: Plan, after: Plan) -> bool:
        """Write a plan if the registry still has `before`. False if somebody else has written.

        Raises a RegistryError.
        """
        if self.plans.get(model) != before or model not in self._modified:
            return False
        key = plan_key(self._service, model)
        return await self._store.put(key, dump_plan(after), cas=self._modified[model])

    async def _query(self) -> None:
        sent = self._index
        answer = await self._store.below(plan_prefix(self._service), sent, WAIT_S)
        self._index = next_index(sent, answer.index)
        plans, vanished = self._read(answer)
        changed = plans != self.plans
        if changed:
            self._log_changes(plans)
            self.plans = plans
            self._on_change(plans)
        self.loaded.set()
        for model in vanished:
            await self._write_back(model)
        if changed:
            self._unchanged_in_a_row = 0
            return
        # One unchanged answer each WAIT_S is normal. Several at once mean that the registry does not block.
        self._unchanged_in_a_row += 1
        if self._unchanged_in_a_row > 1:
            await self._pacing.back_off(min(self._unchanged_in_a_row, 4))

    def _read(self, answer: StoredValues) -> tuple[Plans, list[str]]:
        """The plans after an answer, and the models whose plan has vanished."""
        plans, modified = {}, {}
        for key, stored in answer.values.items():
            model = model_of_key(self._service, key)
            if model is None:
                continue
            modified[model] = stored.modify_index
            try:
                plan = parse_plan(stored.value)
            except BadPlanError as error:
                self._refuse(model, str(error))
                plan = self.plans.get(model)
            else:
                self._refused.pop(model, None)
            if plan is not None:
                plans[model] = plan
        self._modified = modified
        missing = {model: plan for model, plan in self.plans.items() if model not in modified}
        # Without a leader, or with keys that the token may not read, absence proves nothing.
        vanished = sorted(missing) if answer.has_leader and answer.complete else []
        return {**plans, **missing}, vanished

    async def _write_back(self, model: str) -> None:
        key, document = plan_key(self._service, model), dump_plan(self.plans[model])
        try:
            # cas=0: if somebody has written meanwhile, theirs counts. The next query brings it.
            written = await self._store.put(key, document, cas=0)
        except RegistryError as error:
            self._refuse(model, f"it has vanished from the registry and can't be written back: {error}")
        else:
            self._log.warning("the plan had vanished from the registry", model=model, written_back=written)

    def _refuse(self, model: str, reason: str) -> None:
        if self._refused.get(model) != reason:
            self._refused[model] = reason
            self._log.warning(
                "the registry has no usable plan: the last good one stays", model=model, reason=reason
            )

    def _log_changes(self, plans: Plans) -> None:
        for model in sorted(self.plans.keys() | plans.keys()):
            before, after = self.plans.get(model), plans.get(model)
            if after is None:
                self._log.info("plan ended", model=model)
            elif after != before:
                canary = (
                    {"canary": after.canary.version, "percent": after.canary.percent} if after.canary else {}
                )
                reason = {"reason": after.reason} if after.reason else {}
                self._log.info("plan", model=model, stable=after.stable, **canary, **reason)


def _log_fields(plan: Plan) -> dict[str, object]:
    canary = {"canary": plan.canary.version, "percent": plan.canary.percent} if plan.canary else {}
    reason = {"reason": plan.reason} if plan.reason else {}
    return {"stable": plan.stable, **canary, **reason}
