"""What a proxy follows in the registry: the workers and the plans of its service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tfleet.discovery.consul.health import ConsulHealth
from tfleet.discovery.consul.http_client import WAIT_S
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.plan_watch import Plans, PlanWatch
from tfleet.discovery.registry import ConsulRegistry
from tfleet.discovery.watch import Watch
from tfleet.proxy.admin.registry_metrics import RegistryMetrics
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.version_counter import VersionCounter
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.canary_guard import CanaryGuard
from tfleet.proxy.p2p.mirrors import MirrorWarnings
from tfleet.proxy.settings import DiscoverySettings, ProxySettings
from tfleet.proxy.telemetry.metrics import ProxyMetrics

_PLANS_FIRST_S: Final = 5.0
"""So long the proxy waits at most for the plans before it asks for the workers."""


def registry_tasks(
    stack: contextlib.AsyncExitStack,
    settings: ProxySettings,
    registry: ConsulRegistry,
    router: ModelRouter,
    metrics: ProxyMetrics,
) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    """Return the endless tasks that follow workers and plans in the registry, and that guard canaries."""

    def use_plans(plans: Plans) -> None:
        router.use_plans(plans)
        guard.use_plans(plans)
        if settings.serving.is_p2p:
            mirror_warnings.use_plans(plans)

    discovery, mirror_warnings = settings.discovery, MirrorWarnings(settings.serving)
    watch = _watch(stack, discovery, registry, router.table)
    plans = plan_watch(stack, discovery, registry, use_plans, known=router.plans)
    rollbacks = VersionCounter("tfleet_proxy_rollbacks", "Canaries that this proxy rolled back")
    guard = CanaryGuard(router.table.tries, plans.replace, on_rollback=rollbacks.count)
    metrics.include(RegistryMetrics(watch, router.table))
    metrics.include(rollbacks)

    async def watch_workers() -> None:
        # The plans first: with workers and without plans the proxy would be ready, but answer 503.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PLANS_FIRST_S):
                await plans.asked.wait()
        await watch.run()

    return [watch_workers, plans.run, guard.run]


def _watch(
    stack: contextlib.AsyncExitStack,
    discovery: DiscoverySettings,
    registry: ConsulRegistry,
    workers: WorkerTable,
) -> Watch:
    """Make the watch that keeps the table of workers up to date with the registry."""
    health = ConsulHealth(registry.address, wait_s=WAIT_S, access=registry.access)
    stack.push_async_callback(health.close)
    hint = registry.access.acl_hint(discovery.service) if discovery.registry == registry else ""
    return Watch(
        health,
        discovery.service,
        workers.apply_service_list,
        on_check=workers.apply_registry_check,
        hint=hint,
    )


def plan_watch(
    stack: contextlib.AsyncExitStack,
    discovery: DiscoverySettings,
    registry: ConsulRegistry,
    on_change: Callable[[Plans], None],
    *,
    known: Plans | None = None,
) -> PlanWatch:
    """Make the watch that follows the plans in the registry, from those `known` on."""
    store = ConsulKeyValues(registry.address, wait_s=WAIT_S, access=registry.access)
    stack.push_async_callback(store.close)
    return PlanWatch(store, discovery.service, on_change, plans=known)
