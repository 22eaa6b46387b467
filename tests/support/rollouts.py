"""Fleets of several versions of the model `m`, and its plan, for tests of rollouts.

The model is that of tensor_models.write_version: an answer is the input times the version.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.environment import users_environment
from tests.support.fleet_processes import Fleet, fleet
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.plan import Plan, default_key, dump_default, dump_plan, parse_plan, plan_key

MODEL = "m"
_FOLLOWED_S = 30.0


class Plans:
    """Writes the plan of the model `m`, and waits until these proxies follow it."""

    def __init__(self, registry: Address, *proxies: Address) -> None:
        self.proxies = list(proxies)
        self._store = ConsulKeyValues(registry, wait_s=10)
        self._key = plan_key("tfleet", MODEL)

    async def write(self, plan: Plan) -> None:
        """Write it, whatever there is. While the registry has no leader it is tried again."""
        await eventually(lambda: self._written(plan), timeout_s=_FOLLOWED_S)
        wanted = plan.canary.version if plan.canary else None
        for proxy in self.proxies:

            async def followed(proxy: Address = proxy) -> tuple[str, str | None, float]:
                shown = (await model_of(proxy))["plan"] or {"stable": ""}
                return shown["stable"], shown.get("canary"), shown.get("percent", 0.0)

            percent = plan.canary.percent if plan.canary else 0.0
            await eventually(followed, wanted=(plan.stable, wanted, percent).__eq__, timeout_s=_FOLLOWED_S)

    async def stored(self) -> Plan | None:
        """The plan in the registry."""
        found = (await self._store.below(self._key, 0, 10)).values.get(self._key)
        return None if found is None else parse_plan(found.value)

    async def close(self) -> None:
        await self._store.close()

    async def _written(self, plan: Plan) -> bool:
        try:
            found = (await self._store.below(self._key, 0, 10)).values.get(self._key)
            index = 0 if found is None else found.modify_index
            return await self._store.put(self._key, dump_plan(plan), cas=index)
        except RegistryError:
            return False


async def model_of(proxy: Address, model: str = MODEL) -> dict[str, Any]:
    """What a proxy says of the model."""
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/models") as answer:
        models: list[dict[str, Any]] = (await answer.json())["models"]
        return next(row for row in models if row["name"] == model)


async def plan_of(proxy: Address) -> dict[str, Any]:
    """The plan as the proxy shows it."""
    found: dict[str, Any] = (await model_of(proxy))["plan"]
    return found


def write_versions(folder: Path, *versions: str, model: str = MODEL) -> list[Path]:
    """The folders of these versions, written below `folder`."""
    return [
        Fleet.forked_workers.write_model(folder / model / version, "tensor_models.write_version")
        for version in versions
    ]


@asynccontextmanager
async def versions_fleet(
    registry: Address, folder: Path, *proxy_options: str, workers: Sequence[str] = ("1", "1", "2")
) -> AsyncIterator[tuple[Fleet, Plans]]:
    """A fleet with a worker for each of these versions, in this order; all are ready."""
    paths = dict(zip(names := list(dict.fromkeys(workers)), write_versions(folder, *names), strict=True))
    options = ("--slow-start", "0", *proxy_options)
    async with fleet(f"consul://{registry}", paths[workers[0]], *options, workers=0) as running:
        for version in workers:
            running.add_worker("--model", str(paths[version]))
        await running.ready(len(workers))
        plans = Plans(registry, running.proxy)
        try:
            yield running, plans
        finally:
            await plans.close()


async def add_second_proxy(running: Fleet, plans: Plans, address: Address, *options: str) -> None:
    """One more proxy, which knows as many ready workers as the first and follows the same plans."""
    running.add_proxy(address, "--slow-start", "0", *options)
    wanted = (await running.states()).count("ready")

    async def ready() -> int:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{address.url}/workers") as answer:
                return sum(row["state"] == "ready" for row in (await answer.json())["workers"])
        except aiohttp.ClientError:
            return 0

    await eventually(ready, wanted=wanted.__eq__, timeout_s=_FOLLOWED_S)
    plans.proxies.append(address)


async def set_default(registry: Address, model: str) -> None:
    """Have requests without a name answered by this model."""
    store = ConsulKeyValues(registry, wait_s=10)
    try:
        assert await store.put(default_key("tfleet"), dump_default(model), cas=0)
    finally:
        await store.close()


async def run_tfleet(registry: Address, *arguments: str) -> str:
    """What a command of `tfleet` prints. It has to succeed."""
    command = [sys.executable, "-m", "tfleet", *arguments, "--registry", f"consul://{registry}"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=users_environment()
    )
    out, err = await process.communicate()
    assert process.returncode == 0, f"{arguments}: {out.decode()}{err.decode()}"
    return out.decode()
