"""Workers in a registry, put there by a test, and how a proxy sees them."""

from __future__ import annotations

from typing import Any

import aiohttp

from tfleet.contract.address import Address


async def register(
    registry: Address,
    worker: Address,
    *,
    worker_id: str = "w1",
    ttl: str = "60s",
    model: str = "lite0",
    **meta: str,
) -> None:
    """Register a worker as it would do it itself, but with a heartbeat of `ttl`."""
    definition = {
        "ID": worker_id,
        "Name": "tfleet",
        "Address": worker.host,
        "Port": worker.port,
        "Meta": {"model": model, "version": "1"} | meta,
        "Check": {"TTL": ttl, "Status": "passing"},
    }
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{registry.url}/v1/agent/service/register", json=definition) as answer:
            assert answer.status == 200


async def deregister(registry: Address, worker_id: str = "w1") -> None:
    """Remove the worker's entry."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{registry.url}/v1/agent/service/deregister/{worker_id}") as answer:
            assert answer.status == 200


async def workers(proxy: Address) -> list[dict[str, object]]:
    """The rows of the proxy's /workers."""
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/workers") as answer:
        rows: list[dict[str, object]] = (await answer.json())["workers"]
        return rows


def ready(rows: list[dict[str, object]], count: int = 1) -> bool:
    """Whether there are so many workers, all of them ready."""
    return [row["state"] for row in rows] == ["ready"] * count


async def listed(registry: Address, service: str = "tfleet-proxy") -> list[dict[str, Any]]:
    """The passing instances, as the registry lists them."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{registry.url}/v1/health/service/{service}?passing") as answer:
            return [row["Service"] for row in await answer.json()]
