"""Asks a proxy how many workers are ready."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from tfleet.contract.address import Address

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


async def ready_workers(session: aiohttp.ClientSession, proxy: Address) -> int:
    """The number of workers that the proxy has as ready; 0 while it gives no such answer.

    Asks for the table, which the proxy logs as any request, only once its `/readyz` says that a worker is
    there: waiting leaves no lines in its log.
    """
    try:
        async with session.get(f"{proxy.url}/readyz", timeout=_TIMEOUT) as answer:
            if not answer.ok:
                return 0
        async with session.get(f"{proxy.url}/workers", timeout=_TIMEOUT) as answer:
            return _count(await answer.json()) if answer.ok else 0
    except (aiohttp.ClientError, OSError, ValueError):  # still starting, or being started again
        return 0


def _count(document: object) -> int:
    rows: Any = document.get("workers") if isinstance(document, Mapping) else None
    if not isinstance(rows, list):
        return 0
    return sum(isinstance(row, Mapping) and row.get("state") == "ready" for row in rows)
