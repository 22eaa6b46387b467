"""The versions that the plans in the registry name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from tfleet.discovery.consul.http_client import WAIT_S
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.plan_watch import PlanWatch
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry


class RegistryPlans:
    """Follows the plans of a service while `watch.run` runs."""

    def __init__(self, watch: PlanWatch) -> None:
        self.watch = watch

    @property
    def known(self) -> bool:
        return self.watch.loaded.is_set()

    def of(self, model: str) -> Collection[str]:
        plan = self.watch.plans.models.get(model)
        return plan.versions if plan else ()


@asynccontextmanager
async def registry_plans(
    registry: ConsulRegistry | EmbeddedRegistry, service: str
) -> AsyncIterator[RegistryPlans]:
    """The plans of a service, for as long as the block lasts."""
    store = ConsulKeyValues(registry.address, wait_s=WAIT_S, access=registry.access)
    try:
        yield RegistryPlans(PlanWatch(store, service, lambda plans: None))
    finally:
        await store.close()
