"""Asks a proxy how many workers are ready, and what they serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from tfleet.contract.address import Address

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


@dataclass(frozen=True, slots=True)
class ReadyWorkers:
    """How many workers are ready, and the model of the first one: its name and kind, empty if unknown."""

    number: int = 0
    model: str = ""
    kind: str = ""


NOBODY: Final = ReadyWorkers()


async def ready_workers(session: aiohttp.ClientSession, proxy: Address) -> ReadyWorkers:
    """The workers that the proxy has as ready; none while it gives no such answer.

    Asks for the table, which the proxy logs as any request, only once its `/readyz` says that a worker is
    there: waiting leaves no lines in its log.
    """
    try:
        async with session.get(f"{proxy.url}/readyz", timeout=_TIMEOUT) as answer:
            if not answer.ok:
                return NOBODY
        async with session.get(f"{proxy.url}/workers", timeout=_TIMEOUT) as answer:
            return _ready(await answer.json()) if answer.ok else NOBODY
    except (aiohttp.ClientError, OSError, ValueError):  # still starting, or being started again
        return NOBODY


def _ready(document: object) -> ReadyWorkers:
    rows: Any = document.get("workers") if isinstance(document, Mapping) else None
    if not isinstance(rows, list):
        return NOBODY
    ready = [row for row in rows if isinstance(row, Mapping) and row.get("state") == "ready"]
    if not ready:
        return NOBODY
    return ReadyWorkers(len(ready), str(ready[0].get("model", "")), str(ready[0].get("kind", "")))
