"""`GET /openapi.json`: the OpenAPI document of the proxy, with the models of its fleet.

Whoever asks, workers are asked at most once in ten seconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from tfleet import __version__
from tfleet.contract.openapi.described import ModelDescription
from tfleet.contract.openapi.document import LeftOut, ServerDescription, openapi_document
from tfleet.contract.openapi.pages import proxy_pages
from tfleet.contract.openapi.places import ServedVersion
from tfleet.contract.problem import ProblemError
from tfleet.discovery.plan import labels_of
from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.admin.model_descriptions import Descriptions, describe, workers_to_ask
from tfleet.proxy.admin.models import fleet_of
from tfleet.proxy.admin.page_sources import PageSources
from tfleet.proxy.admin.version_states import version_statuses
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.versions import ANY, ModelVersion, order_without_version, wanted_model
from tfleet.proxy.settings import ModeSettings

KEPT_S: Final = 10.0
_MOST_NAMED: Final = 100
_ABOUT: Final = "The proxy of a tfleet. It answers with the workers of its fleet."
_ABOUT_PAGES: Final = "The pages of a tfleet's proxy for operators. Predictions are on its other port."


class OpenApiPage:
    """The page. With `predicts` the port answers predictions, too: then the models are part of it."""

    def __init__(
        self,
        sources: PageSources,
        serving: ModeSettings,
        *,
        for_operators: bool,
        predicts: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._serving = serving
        self._pages = proxy_pages(for_operators=for_operators, jobs=predicts and sources.jobs)
        self._predicts = predicts
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._made: tuple[float, bytes] | None = None

    async def answer(self, _: web.Request) -> web.Response:
        """The answer to a request. Raises ProblemError while the workers are not known."""
        return web.Response(body=await self.document(), content_type="application/json")

    async def document(self) -> bytes:
        """The document, at most ten seconds old."""
        async with self._one_at_a_time:
            now_s = self._clock()
            if self._made is None or now_s - self._made[0] >= KEPT_S:
                self._made = now_s, await self._new()
            return self._made[1]

    async def _new(self) -> bytes:
        if not self._predicts:
            return _written(ServerDescription(_ABOUT_PAGES, __version__, self._pages), [])
        sources, plans = self._sources, self._sources.plans()
        rows = await sources.status.workers()
        found = await describe(sources.session, workers_to_ask(rows))
        server = ServerDescription(
            _ABOUT,
            __version__,
            self._pages,
            redirects=self._serving.is_p2p,
            redirects_inference=not self._serving.forwards_inference,
            left_out=left_out(found, rows, plans),
        )
        # A large fleet takes tenths of a second, in which the proxy has other requests to answer.
        return await asyncio.to_thread(_written, server, served_versions(found.models, rows, plans))


def served_versions(
    models: Mapping[ModelVersion, ModelDescription], rows: Sequence[WorkerRow], plans: Plans
) -> list[ServedVersion]:
    """The versions, and which of them answer requests that name no version or no model.

    That is the version which answers most of them. If it is not described, none is.
    """
    fleet = fleet_of(rows)
    try:
        default = wanted_model(fleet, ANY, plans.default, plans.models)
    except ProblemError:  # none, or it is not ready
        default = None
    found = []
    for key, model in models.items():
        plan = plans.models.get(key.model)
        first = order_without_version(fleet, key.model, plan, canary=False)[0] == key.version
        labels = () if plan is None else _labels(labels_of(plan), key.version)
        found.append(ServedVersion(model, first, first and key.model == default, labels))
    return found


def left_out(found: Descriptions, rows: Sequence[WorkerRow], plans: Plans) -> list[LeftOut]:
    """The versions that are not described, at most a hundred of them, and why."""
    missing = dict(found.missing)
    if (alike := sum(not row.instance.model for row in rows)) > 1:
        why = f"one of {alike} workers of a static list was asked: the others may have other models"
        missing.setdefault(ModelVersion("", ""), why)
    for each in version_statuses(rows, plans, time.time()):
        key = ModelVersion(each.model, each.version)
        if key not in found.models:
            missing.setdefault(key, each.reason or "no worker of it is ready: see GET /models")
    named = [LeftOut(key.model, key.version, why) for key, why in list(missing.items())[:_MOST_NAMED]]
    if more := len(missing) - len(named):
        named.append(LeftOut("", "", f"{more} more versions: see GET /models"))
    return named


def _labels(labels: Mapping[str, str], version: str) -> tuple[str, ...]:
    return tuple(sorted(label for label, labelled in labels.items() if labelled == version))


def _written(server: ServerDescription, versions: Sequence[ServedVersion]) -> bytes:
    return json.dumps(openapi_document(server, versions)).encode() + b"\n"
