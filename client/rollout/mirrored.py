"""What came of mirrored requests: `GET /models` of each registered proxy, added up."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tfleet.client.errors import FleetError
from tfleet.client.http.responses import succeeded
from tfleet.client.http.transport import LostConnectionError
from tfleet.client.rollout.fleet_state import FleetState
from tfleet.client.text import count
from tfleet.contract.names import MODELS_PATH

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.discovery.instance import Instance

_TIMEOUT_S: Final = 5.0
_AGREED: Final = "agreed"
_DIFFERED: Final = "differed"
_MEASURED: Final = "measured"
_REST: Final[Mapping[str, str]] = {
    "not_comparable": "not comparable",
    "failed": "failed",
    "skipped": "skipped",
}
_RESULTS: Final = (_AGREED, _DIFFERED, _MEASURED, *_REST)


@dataclass(frozen=True, slots=True)
class MirroredSum:
    """The counts of all proxies that mirror to a canary. `proxies` are those asked; `silent_proxies` of them
    did not say.
    """

    results: Mapping[str, int] = field(default_factory=dict)
    largest_difference: float = 0.0
    proxies: int = 0
    silent_proxies: int = 0

    def document(self) -> dict[str, Any]:
        """What `--json` has."""
        counts = {name: self.results.get(name, 0) for name in _RESULTS}
        return {
            **counts,
            "largest_difference": self.largest_difference,
            "proxies": self.proxies,
            "silent_proxies": self.silent_proxies,
        }


def mirroring(fleet: FleetState) -> dict[str, str]:
    """The canary of each model whose requests are mirrored."""
    return {
        name: model.plan.canary.version
        for name, model in fleet.models.items()
        if model.plan is not None and model.plan.canary is not None and model.plan.canary.mirror
    }


async def ask_mirrored(
    transport: Transport, proxies: Sequence[Instance], canaries: Mapping[str, str]
) -> dict[str, MirroredSum]:
    """The sums by model, for these canaries."""
    pages = await asyncio.gather(*(_ask(transport, proxy) for proxy in proxies))
    return {name: add_up(pages, name, version) for name, version in canaries.items()}


async def _ask(transport: Transport, proxy: Instance) -> Sequence[Any] | None:
    """The models that a proxy lists, or None."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return _listed(await transport.get(proxy.address.url + MODELS_PATH, {}))
    except (TimeoutError, LostConnectionError, FleetError):
        return None


def _listed(reply: HttpResponse) -> Sequence[Any] | None:
    models = succeeded(reply).get("models")
    return models if isinstance(models, list) else None


def add_up(pages: Sequence[Sequence[Any] | None], model: str, version: str) -> MirroredSum:
    """The sum of what proxies list of a model; None is a proxy that did not say.

    A proxy that has mirrored nothing to this version adds nothing.
    """
    results: Counter[str] = Counter()
    largest, silent = 0.0, 0
    for page in pages:
        if page is None:
            silent += 1
            continue
        rows = (row.get("mirrored") for row in page if isinstance(row, Mapping) and row.get("name") == model)
        for row in rows:
            if isinstance(row, Mapping) and row.get("version") == version:
                results.update({name: _number(row.get(name)) for name in _RESULTS})
                largest = max(largest, _number(row.get("largest_difference")))
    return MirroredSum(results, largest, len(pages), silent)


def mirrored_line(percent: float, seen: MirroredSum) -> str:
    """What a person has to know of it, in one line."""
    if not seen.proxies:
        return f"mirrored {percent:g} %: no proxy is registered that could say what came of it"
    agreed, differed = seen.results.get(_AGREED, 0), seen.results.get(_DIFFERED, 0)
    compared = agreed + differed + seen.results.get(_MEASURED, 0)
    parts = [f"{compared:,} compared"]
    if agreed + differed:
        # Rounded down: one that differs is not 100 %.
        parts.append(f"{math.floor(1000 * agreed / (agreed + differed)) / 10:g} % agree")
    if compared:
        parts.append(f"largest difference {seen.largest_difference:.3g}")
    parts += [f"{seen.results[name]:,} {text}" for name, text in _REST.items() if seen.results.get(name)]
    if seen.silent_proxies:
        parts.append(f"{count(seen.silent_proxies, 'proxy', 'proxies')} did not say")
    return f"mirrored {percent:g} %: {', '.join(parts)}"


def _number(value: object) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
