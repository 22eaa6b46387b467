"""A closed-loop load: so many connections, each sends its next request when it has its answer."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run gave: answers a second, and milliseconds of the middle and the slowest hundredth."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


async def load(url: str, image: bytes, *, connections: int, requests: int) -> Figures:
    """Send `requests` posts of `image` over `connections` kept-alive connections, after a short warm-up."""
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _send(session, url, image, connections, max(connections, 8))
        began_s = time.perf_counter()
        times_ms, failed = await _send(session, url, image, connections, requests)
        seconds = time.perf_counter() - began_s
    ordered = sorted(times_ms)
    return Figures(
        per_second=len(ordered) / seconds,
        p50_ms=statistics.median(ordered),
        p99_ms=ordered[int(len(ordered) * 0.99)],
        failed=failed,
    )


async def _send(
    session: aiohttp.ClientSession, url: str, image: bytes, connections: int, requests: int
) -> tuple[list[float], int]:
    left = iter(range(requests))
    times_ms: list[float] = []
    failed = 0

    async def connection() -> None:
        nonlocal failed
        for _ in left:
            began_s = time.perf_counter()
            async with session.post(url, data=image, headers={"Content-Type": "image/jpeg"}) as answer:
                await answer.read()
                failed += answer.status != 200
            times_ms.append((time.perf_counter() - began_s) * 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(connection())
    return times_ms, failed
