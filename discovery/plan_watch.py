"""Follows the plans of a service in the registry's key-value store, for as long as the process lives.

The rules:

- A failed query changes nothing: the last plans stay in use. So does the last good plan of a model whose
  document can't be read. Before the first answer nobody knows the plans, unless the registry refuses to show
  them: then there are none.
- A plan ends only by its marker. One that has vanished stays in use and is written back, if nobody has
  written another one meanwhile: the registry has lost its state. Only what a registry with a leader, which
  hides nothing, does not have counts as vanished. The default model is kept in the same way.
- After a failure the next query does not block (index 0): a registry that restarted may have lower indexes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from tfleet.discovery.consul.http_client import WAIT_S, next_index
from tfleet.discovery.consul.key_values import KeyValueStore, StoredValues
from tfleet.discovery.errors import RegistryError, RegistryRefusedError
from tfleet.discovery.plan import (
    BadPlanError,
    Plan,
    default_key,
    dump_default,
    dump_plan,
    model_of_key,
    parse_default,
    parse_plan,
    plan_key,
    service_prefix,
)
from tfleet.discovery.reported_versions import ReportedVersion, VersionState, read_reports
from tfleet.discovery.watch import Pacing, WatchMessages, repeat_queries

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Plans:
    """The plan of each model that has one, and the default model, empty if none is called so.

    `refused` are the versions that a `tfleet up --models` can't use, `loading` those that it starts. An entry
    of a `tfleet up` that has ended may be among them: see ReportedVersion.is_stale. `read` is whether anybody
    has asked the registry: without that, nobody knows that there are no plans.
    """

    models: Mapping[str, Plan] = field(default_factory=dict)
    default: str = ""
    refused: tuple[ReportedVersion, ...] = ()
    loading: tuple[ReportedVersion, ...] = ()
    read: bool = True


UNREAD: Final = Plans(read=False)


class PlanWatch:
    """Runs blocking queries one after the other, and passes the first plans and changed ones to `on_change`.

    `plans` are those that are known already. `run` never returns. An exception from it is fatal. `loaded` is
    set after the first answer, `asked` after the first query, also if it failed.
    """

    def __init__(
        self,
        store: KeyValueStore,
        service: str,
        on_change: Callable[[Plans], None],
        *,
        plans: Plans | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        self.loaded = asyncio.Event()
        self.asked = asyncio.Event()
        self.plans = plans or Plans()
        self._store = store
        self._service = service
        self._on_change = on_change
        self._pacing = pacing or Pacing()
        self._log: Any = structlog.get_logger().bind(service=service)
        self._index = 0
        self._unchanged_in_a_row = 0
        self._modified: dict[str, int] = {}
        """The modify index of each key, for check-and-set."""
        self._refused: dict[str, str] = {}
        """Why a key's document can't be used."""

    def __repr__(self) -> str:
        return f"<PlanWatch {self._service} index={self._index} {len(self.plans.models)} plans>"

    async def run(self) -> None:
        """Watch until cancelled."""
        messages = WatchMessages("the plans can't be watched", "the plans can be watched again")
        await repeat_queries(self._query, self._failed, self._pacing, self._log, messages)

    def _failed(self) -> None:
        self._index = 0  # see the rules above
        self.asked.set()

    async def replace(self, model: str, before: Plan, after: Plan) -> bool:
        """Write a plan if the registry still has `before`. False if somebody else has written, even if it
        can't be read: a newer tfleet may have fields that this one does not know.

        Raises a RegistryError.
        """
        key = plan_key(self._service, model)
        if self.plans.models.get(model) != before or key not in self._modified or key in self._refused:
            return False
        return await self._store.put(key, dump_plan(after), cas=self._modified[key])

    async def _query(self) -> None:
        sent = self._index
        answer = await self._ask(sent)
        self._index = next_index(sent, answer.index)
        plans, vanished = self._read(answer)
        changed = plans != self.plans
        if changed:
            self._log_changes(plans)
            self.plans = plans
        if changed or not self.loaded.is_set():
            self._on_change(plans)
        self.loaded.set()
        self.asked.set()
        for key, document in vanished.items():
            await self._write_back(key, document)
        if changed:
            self._unchanged_in_a_row = 0
            return
        # One unchanged answer each WAIT_S is normal. Several at once mean that the registry does not block.
        self._unchanged_in_a_row += 1
        if self._unchanged_in_a_row > 1:
            await self._pacing.back_off(min(self._unchanged_in_a_row, 4))

    async def _ask(self, index: int) -> StoredValues:
        try:
            return await self._store.below(service_prefix(self._service), index, WAIT_S)
        except RegistryRefusedError:
            # Nobody can say when the token will be allowed to read them: what is known is all that there is.
            if not self.loaded.is_set():
                self._on_change(self.plans)
            raise

    def _read(self, answer: StoredValues) -> tuple[Plans, Mapping[str, bytes]]:
        """The plans after an answer, and the documents that have vanished, by key."""
        before, models, vanished = self.plans, {}, {}
        self._modified = {key: stored.modify_index for key, stored in answer.values.items()}
        for key, stored in answer.values.items():
            if (model := model_of_key(self._service, key)) is not None:
                last = before.models.get(model)
                plan = self._parsed(key, partial(parse_plan, stored.value), last)
                if plan is not None:
                    models[model] = plan
        for model, plan in before.models.items():
            if (key := plan_key(self._service, model)) not in answer.values:
                models[model] = plan
                vanished[key] = dump_plan(plan)
        key, default = default_key(self._service), before.default
        if key in answer.values:
            default = self._parsed(key, partial(parse_default, answer.values[key].value), default)
        elif default:
            vanished[key] = dump_default(default)
        states = VersionState.REFUSED, VersionState.LOADING
        refused, loading = (read_reports(state, self._service, answer.values) for state in states)
        # Without a leader, or with keys that the token may not read, absence proves nothing.
        is_proof = answer.has_leader and answer.complete
        return Plans(models, default, refused, loading), vanished if is_proof else {}

    def _parsed(self, key: str, parse: Callable[[], _T], last: _T) -> _T:
        """What the document says, or the last that it said if it can't be read."""
        try:
            found = parse()
        except BadPlanError as error:
            self._refuse(key, str(error))
            return last
        self._refused.pop(key, None)
        return found

    async def _write_back(self, key: str, document: bytes) -> None:
        try:
            # cas=0: if somebody has written meanwhile, theirs counts. The next query brings it.
            written = await self._store.put(key, document, cas=0)
        except RegistryError as error:
            self._refuse(key, f"it has vanished and can't be written back: {error}")
        else:
            self._log.warning("the plan had vanished from the registry", key=key, written_back=written)

    def _refuse(self, key: str, reason: str) -> None:
        if self._refused.get(key) != reason:
            self._refused[key] = reason
            event = "the registry has no usable plan: the last good one stays"
            self._log.warning(event, key=key, reason=reason)

    def _log_changes(self, plans: Plans) -> None:
        if plans.default != self.plans.default:
            self._log.info("default model", model=plans.default or None)
        for model in sorted(self.plans.models.keys() | plans.models.keys()):
            before, after = self.plans.models.get(model), plans.models.get(model)
            if after is None:
                self._log.info("plan ended", model=model)
            elif after != before:
                self._log.info("plan", model=model, **_log_fields(after))


def _log_fields(plan: Plan) -> dict[str, object]:
    canary = {"canary": plan.canary.version, "percent": plan.canary.percent} if plan.canary else {}
    reason = {"reason": plan.reason} if plan.reason else {}
    return {"stable": plan.stable, **canary, **reason}
