"""The plans of a real registry, as `tfleet up --models` reads and writes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import gethostname

from tests.support.canned_server import nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.waiting import eventually
from tfleet.deploy.local.repository.planned import RegistryPlans, registry_plans
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.plan import Plan, dump_plan, plan_key
from tfleet.discovery.registry import ConsulRegistry
from tfleet.discovery.reported_versions import (
    ReportedVersion,
    VersionState,
    dump_report,
    read_reports,
    report_key,
)

FOLDER = Path("/models")
REFUSED = {("m", "2"): "it is cut off"}


@asynccontextmanager
async def followed() -> AsyncIterator[tuple[RegistryPlans, ConsulKeyValues]]:
    """The plans of the service `s`, which are being watched, and the store that they are in."""
    with embedded_registry() as address:
        async with registry_plans(ConsulRegistry(address), "s", FOLDER) as plans:
            store = ConsulKeyValues(address, wait_s=1)
            watching = asyncio.create_task(plans.watch.run())
            try:
                await plans.watch.loaded.wait()
                yield plans, store
            finally:
                watching.cancel()
                await store.close()


async def until(plans: RegistryPlans, plan: Plan) -> None:
    async def look() -> Plan | None:
        return plans.watch.plans.models.get("m")

    await eventually(look, wanted=lambda found: found == plan)


async def test_a_plans_versions_are_known() -> None:
    async with followed() as (plans, store):
        assert plans.known
        assert plans.of("m") == ()
        await store.put(plan_key("s", "m"), dump_plan(Plan("2", labels={"old": "1"})), cas=0)
        await until(plans, Plan("2", labels={"old": "1"}))
        assert plans.of("m") == ("2", "1")


async def test_labels_make_a_plan_that_follows_what_is_served() -> None:
    async with followed() as (plans, _):
        assert await plans.assign("m", {"prod": "1"}, ["1"]) == ""
        await until(plans, Plan("1", labels={"prod": "1"}))
        assert await plans.assign("m", {"prod": "2"}, ["1", "2"]) == ""
        await until(plans, Plan("2", labels={"prod": "2"}))


async def test_an_ended_plan_stays_ended() -> None:
    async with followed() as (plans, store):
        await store.put(plan_key("s", "m"), b'{"deleted": true}', cas=0)
        for _ in range(2):
            assert await plans.assign("m", {"prod": "1"}, ["1"]) == ""
        (stored,) = (await store.below("tfleet/s/", 0, 1)).values.values()
        assert stored.value == b'{"deleted": true}'


async def test_a_registry_that_is_not_there_is_one_line() -> None:
    async with registry_plans(ConsulRegistry(nobody()), "s", FOLDER) as plans:
        assert await plans.assign("m", {"prod": "1"}, ["1"]) == ""
        plans.watch.loaded.set()
        line = await plans.assign("m", {"prod": "1"}, ["1"])
    assert line.startswith("the version_labels of m can't be written into its plan: the registry at ")


async def test_refused_versions_are_shown_until_they_work() -> None:
    async with followed() as (plans, store):
        assert await plans.report({VersionState.REFUSED: REFUSED}) == ""

        async def seen() -> tuple[ReportedVersion, ...]:
            return plans.watch.plans.refused

        (entry,) = await eventually(seen)
        assert (entry.model, entry.version, entry.reason) == ("m", "2", "it is cut off")
        assert entry.by == f"{gethostname()}:/models"
        assert await plans.report({}) == ""
        assert read_reports(VersionState.REFUSED, "s", (await store.below("tfleet/s/", 0, 1)).values) == ()


async def test_loading_versions_are_shown_until_they_are_ready() -> None:
    async with followed() as (plans, _):
        assert await plans.report({VersionState.LOADING: {("m", "2"): "it starts"}}) == ""

        async def seen() -> list[str]:
            return [f"{each.model}/{each.version}" for each in plans.watch.plans.loading]

        await eventually(seen, wanted=lambda found: found == ["m/2"])
        assert plans.watch.plans.refused == ()
        assert await plans.report({VersionState.LOADING: {}}) == ""
        await eventually(seen, wanted=lambda found: found == [])


async def test_the_next_start_removes_what_a_killed_one_left() -> None:
    async with followed() as (plans, store):
        left = dump_report("r", f"{gethostname()}:/models", time.time())
        other = dump_report("r", f"{gethostname()}:/more", time.time())
        await store.put(report_key(VersionState.REFUSED, "s", "m", "1"), left, cas=0)
        await store.put(report_key(VersionState.REFUSED, "s", "m", "2"), other, cas=0)
        assert await plans.report({}) == ""
        (entry,) = read_reports(VersionState.REFUSED, "s", (await store.below("tfleet/s/", 0, 1)).values)
        assert entry.version == "2"


async def test_a_lost_registry_shows_no_refused_versions() -> None:
    async with registry_plans(ConsulRegistry(nobody()), "s", FOLDER) as plans:
        assert await plans.report({}) == "", "nothing is missing"
        line = await plans.report({VersionState.REFUSED: REFUSED})
    assert line.startswith(
        "the registry does not show which versions are loading or can't be used: the registry at "
    )
