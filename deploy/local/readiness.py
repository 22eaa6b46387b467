"""Asks a proxy which workers are ready, and what they serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tfleet.contract.address import Address, BadAddressError

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


@dataclass(frozen=True, slots=True)
class ReadyWorker:
    """A worker that a proxy has as ready: the port of its address, and its model; empty if unknown."""

    port: int
    model: str = ""
    version: str = ""
    kind: str = ""


async def ready_workers(session: aiohttp.ClientSession, proxy: Address) -> tuple[ReadyWorker, ...]:
    """The workers that the proxy has as ready; none while it gives no such answer.

    Asks for the table, which the proxy logs as any request, only once its `/readyz` says that a worker is
    there: waiting leaves no lines in its log.
    """
    try:
        async with session.get(f"{proxy.url}/readyz", timeout=_TIMEOUT) as answer:
            if not answer.ok:
                return ()
        async with session.get(f"{proxy.url}/workers", timeout=_TIMEOUT) as answer:
            return _ready(await answer.json()) if answer.ok else ()
    except (aiohttp.ClientError, OSError, ValueError):  # still starting, or being started again
        return ()


def _ready(document: object) -> tuple[ReadyWorker, ...]:
    rows: Any = document.get("workers") if isinstance(document, Mapping) else None
    if not isinstance(rows, list):
        return ()
    return tuple(
        ReadyWorker(_port(row), *(str(row.get(name, "")) for name in ("model", "version", "kind")))
        for row in rows
        if isinstance(row, Mapping) and row.get("state") == "ready"
    )


def _port(row: Mapping[str, Any]) -> int:
    """The port of a row's address, 0 if it has none."""
    try:
        return Address.parse(str(row.get("address", ""))).port
    except BadAddressError:
        return 0
