"""What the fleet relies on in a registry, be it the embedded one or a real Consul: blocking queries.

Each test has a service name of its own, so that they share one server each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import consul
import consul.aio
import pytest

from tests.discovery.consul_api.calls import DEADLINE_S, index_of, register


async def _change_register(client: consul.aio.Consul, name: str) -> None:
    await register(client, name, f"{name}-2")


async def _change_deregister(client: consul.aio.Consul, name: str) -> None:
    await client.agent.service.deregister(name)


async def _change_check(client: consul.aio.Consul, name: str) -> None:
    await client.agent.check.ttl_fail(f"service:{name}")


@pytest.mark.parametrize("change", [_change_register, _change_deregister, _change_check])
async def test_blocking_query_wakes_on_a_change(
    aclient: consul.aio.Consul, name: str, change: Callable[[consul.aio.Consul, str], Any]
) -> None:
    await register(aclient, name)
    index, before = await aclient.health.service(name)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.health.service(name, index=int(index), wait="1m"))
        # Whether it is held already does not matter: the index it knows is from before the change.
        await change(aclient, name)
    new_index, after = waiting.result()
    assert int(new_index) > int(index)
    assert after != before


async def test_a_blocking_query_wakes_when_the_service_comes(aclient: consul.aio.Consul, name: str) -> None:
    index, _ = await aclient.health.service(name)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.health.service(name, index=int(index), wait="1m"))
        await register(aclient, name)
    new_index, entries = waiting.result()
    assert int(new_index) > int(index)
    assert [entry["Service"]["ID"] for entry in entries] == [name]


async def test_blocking_query_on_the_list_of_services_wakes(aclient: consul.aio.Consul, name: str) -> None:
    index, names = await aclient.catalog.services()
    assert name not in names
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.catalog.services(index=int(index), wait="1m"))
        await register(aclient, name)
    new_index, names = waiting.result()
    assert int(new_index) > int(index)
    assert name in names


def test_blocking_query_times_out_with_the_index_unchanged(client: consul.Consul, name: str) -> None:
    register(client, name)
    index, before = client.health.service(name)
    started = time.monotonic()
    assert client.health.service(name, index=int(index), wait="300ms") == (index, before)
    assert time.monotonic() - started >= 0.3


def test_query_with_index_0_or_an_old_one_answers_at_once(client: consul.Consul, name: str) -> None:
    register(client, name)
    index = index_of(client, name)
    for old in (0, 1, index - 1):
        started = time.monotonic()
        assert int(client.health.service(name, index=old, wait="1m")[0]) == index
        assert time.monotonic() - started < DEADLINE_S


def test_query_with_a_future_index_waits_and_tells_the_real_one(client: consul.Consul, name: str) -> None:
    register(client, name)
    index = index_of(client, name)
    started = time.monotonic()
    assert int(client.health.service(name, index=2**63, wait="200ms")[0]) == index
    assert time.monotonic() - started >= 0.2


def test_index_never_falls(client: consul.Consul, name: str) -> None:
    seen = [index_of(client, name)]
    changes: list[Callable[[], object]] = [
        lambda: register(client, name, "n-1"),
        lambda: register(client, name, "n-2"),
        lambda: client.agent.check.ttl_fail("service:n-1"),
        lambda: client.agent.service.deregister("n-1"),
        lambda: client.agent.service.deregister("n-2"),
        lambda: register(client, name, "n-1"),
        lambda: client.agent.service.deregister("n-1"),
    ]
    for change in changes:
        change()
        seen.append(index_of(client, name))
    assert seen == sorted(seen)
    assert min(seen) >= 1
