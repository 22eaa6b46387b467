"""What the registry says of the models in a repository: the versions that plans name, the labels of a
models.config, and the versions that are loading or can't be used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from socket import gethostname

from tfleet.deploy.local.repository.labels import labelled
from tfleet.deploy.local.repository.version_report import VersionReport
from tfleet.discovery.consul.http_client import WAIT_S
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.plan import BadPlanError, Plan, dump_plan, plan_key
from tfleet.discovery.plan_watch import PlanWatch
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.discovery.reported_versions import Reports


class RegistryPlans:
    """The plans of a service, as current as `watch` is while its `run` runs. `by` names this `tfleet up`."""

    def __init__(self, store: ConsulKeyValues, service: str, by: str) -> None:
        self.watch = PlanWatch(store, service, lambda plans: None)
        self._report = VersionReport(store, service, by)
        self._store = store
        self._service = service
        self._not_created: dict[str, Plan] = {}

    def __repr__(self) -> str:
        return f"<RegistryPlans {self.watch!r}>"

    @property
    def known(self) -> bool:
        """Whether the plans have been read."""
        return self.watch.loaded.is_set()

    def of(self, model: str) -> Collection[str]:
        """The versions that the model's plan names."""
        plan = self.watch.plans.models.get(model)
        return plan.versions if plan else ()

    async def assign(self, model: str, labels: Mapping[str, str], served: Collection[str]) -> str:
        """Write the labels into the model's plan; what keeps them from it, in one line."""
        if not self.known:
            return ""
        before = self.watch.plans.models.get(model)
        try:
            after = labelled(before, labels, served)
            if after is not None:
                await self._write(model, before, after)
        except (BadPlanError, RegistryError) as error:
            return f"the version_labels of {model} can't be written into its plan: {error}"
        return ""

    async def report(self, reports: Reports) -> str:
        """Show these models and versions, each with its reason; what keeps from it, in one line."""
        return await self._report.show(reports)

    async def _write(self, model: str, before: Plan | None, after: Plan) -> None:
        """Write a plan, unless somebody else has written: then the watch brings theirs."""
        if before is not None:
            await self.watch.replace(model, before, after)
        elif self._not_created.get(model) != after:
            # An ended plan leaves its marker. It stays ended, and is not tried again with each poll.
            key = plan_key(self._service, model)
            if not await self._store.put(key, dump_plan(after), cas=0):
                self._not_created[model] = after


@asynccontextmanager
async def registry_plans(
    registry: ConsulRegistry | EmbeddedRegistry, service: str, source: Path
) -> AsyncIterator[RegistryPlans]:
    """The plans of a service, for as long as the block lasts. `source` is the repository's path."""
    store = ConsulKeyValues(registry.address, wait_s=WAIT_S, access=registry.access)
    try:
        yield RegistryPlans(store, service, f"{gethostname()}:{source}")
    finally:
        await store.close()
