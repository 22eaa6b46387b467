"""Which plan each registered proxy follows: `GET /models` of each of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tfleet.client.errors import FleetError
from tfleet.client.http.responses import succeeded
from tfleet.client.http.transport import LostConnectionError
from tfleet.contract.names import MODELS_PATH
from tfleet.discovery.plan import BadPlanError, Plan, parse_plan

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.discovery.instance import Instance

_TIMEOUT_S: Final = 5.0
_NO_LIST: Final = "it does not list models: is it a tfleet proxy of this version?"


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """A proxy, and why it does not show the plan that was asked about; empty if it does."""

    id: str
    address: str
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """The row of `--json`."""
        shows = not self.problem
        return {"id": self.id, "address": self.address, "shows_plan": shows, "problem": self.problem}


async def ask_proxies(
    transport: Transport, proxies: Sequence[Instance], model: str, plan: Plan
) -> tuple[ShownPlan, ...]:
    """Ask each proxy whether it has this plan of the model."""
    return tuple(await asyncio.gather(*(_ask(transport, proxy, model, plan) for proxy in proxies)))


async def _ask(transport: Transport, proxy: Instance, model: str, plan: Plan) -> ShownPlan:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            problem = difference(await transport.get(proxy.address.url + MODELS_PATH, {}), model, plan)
    except TimeoutError:
        problem = f"it does not answer within {_TIMEOUT_S:g} s"
    except LostConnectionError as error:
        problem = f"it does not answer: {error}"
    except FleetError as error:
        problem = str(error)
    return ShownPlan(proxy.id, str(proxy.address), problem)


def difference(reply: HttpResponse, model: str, plan: Plan) -> str:
    """Why a proxy's answer to `GET /models` does not show the plan; empty if it does."""
    try:
        models = succeeded(reply).get("models")
    except FleetError as error:
        return str(error)
    if not isinstance(models, list) or not all(isinstance(row, Mapping) and "plan" in row for row in models):
        return _NO_LIST
    row = next((row for row in models if row.get("name") == model), None)
    if row is None:
        return "it does not know the model yet"
    if row["plan"] is None:
        return "it has no plan of the model yet"
    try:
        shown = parse_plan(json.dumps(row["plan"]).encode())
    except (BadPlanError, RecursionError) as error:
        return f"it has a plan that can't be read: {error}"
    return "" if shown == plan else "it has another plan of the model"
