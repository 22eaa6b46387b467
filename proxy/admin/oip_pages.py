"""What the Open Inference Protocol, with Triton's extensions, says about a fleet.

- A model is ready if a worker is that may answer it. While no worker is ready, nobody can say that a name is
  unknown: as with predictions that is a 503, and not a 404.
- A fleet loads no model on request, and unloads none: the answers say what to do instead.
- Each worker counts for itself, so the statistics are those of one worker, and never of all models.
"""

from __future__ import annotations

import time
from typing import Any, Final

from aiohttp import hdrs, web

from tfleet import __version__
from tfleet.contract.identifiers import escaped
from tfleet.contract.open_inference import TOO_LARGE, read_options, server_metadata
from tfleet.contract.problem import Problem, ProblemError
from tfleet.proxy.admin.json_page import json_page
from tfleet.proxy.admin.middleware import path_as_sent
from tfleet.proxy.admin.models import fleet_of
from tfleet.proxy.admin.page_sources import PageSources
from tfleet.proxy.admin.version_states import ServingState, VersionStatus, version_statuses
from tfleet.proxy.balancing.versions import (
    ModelVersion,
    Wanted,
    loading_versions,
    named_version,
    not_ready,
    order_without_version,
    undecided,
    wanted_model,
    with_loading,
)
from tfleet.proxy.inference_paths import InferencePath, RequestKind

_STATES: Final = {
    ServingState.AVAILABLE: "READY",
    ServingState.LOADING: "LOADING",
    ServingState.UNLOADING: "UNLOADING",
    ServingState.START: "UNAVAILABLE",
    ServingState.END: "UNAVAILABLE",
}
_LOAD: Final = (
    "a fleet loads no model on request: put the version into the folder of `tfleet up --models`, or start a "
    "worker with it, and move traffic with `tfleet rollout`"
)
_UNLOAD: Final = (
    "a fleet unloads no model on request: take its workers out with `tfleet drain ID`, or remove the version "
    "from the folder of `tfleet up --models`"
)
_STATISTICS: Final = (
    "each worker counts for itself: ask for those of one model, GET /v2/models/NAME/stats, which are of the "
    "worker in X-Worker. GET /metrics has what the proxy counts"
)
_NO_MEMORY: Final = "no memory is shared with clients here: send tensors in the body"
_ALWAYS: Final[dict[RequestKind, Any]] = {
    RequestKind.LIVE: {"live": True},
    RequestKind.REGIONS: [],
    RequestKind.UNREGISTER: {},
}
"""Answers that are always the same. No memory is shared, so there is none to give up."""


class OipPages:
    """Answers requests that concern the fleet."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources

    async def answer(self, request: web.Request, path: InferencePath) -> web.Response:
        """The answer to what a path asks for. Raises ProblemError."""
        match path.kind:
            case RequestKind.SERVER:
                return json_page(server_metadata(__version__))
            case RequestKind.READY:
                return await self._server_ready(request)
            case RequestKind.MODEL_READY:
                return await self._model_ready(request, path.wanted)
            case RequestKind.INDEX:
                return json_page(await self._index(request))
            case RequestKind.LOAD:
                return await self._load(request, path.wanted)
            case RequestKind.UNLOAD:
                await self._check_known(path.wanted)
                raise ProblemError(Problem(400, _UNLOAD))
            case RequestKind.ALL_STATISTICS:
                raise ProblemError(Problem(400, _STATISTICS))
            case RequestKind.REGISTER:
                raise ProblemError(Problem(400, _NO_MEMORY))
            case RequestKind.NOT_HERE:
                what = escaped(path_as_sent(request))
                why = f"this server has no {what}: GET /v2 lists the extensions that it has"
                raise ProblemError(Problem(404, why))
        return json_page(_ALWAYS[path.kind])

    async def _server_ready(self, request: web.Request) -> web.Response:
        try:
            await self._check_server()
        except ProblemError as error:
            return _not_ready(request, {"live": True}, error.problem)
        return json_page({"live": True, "ready": True})

    async def _check_server(self) -> None:
        """Raises ProblemError (503) while the proxy is not ready."""
        if reason := await self._sources.status.missing():
            raise ProblemError(Problem(503, reason, retry_after_s=1))

    async def _model_ready(self, request: web.Request, wanted: Wanted) -> web.Response:
        members = {"name": wanted.model}
        try:
            await self._check_ready(wanted)
        except ProblemError as error:
            if error.problem.status != web.HTTPServiceUnavailable.status_code:
                raise
            return _not_ready(request, members, error.problem)
        return json_page({**members, "ready": True})

    async def _check_ready(self, wanted: Wanted) -> None:
        """Raises ProblemError: 404 for what nobody knows, 503 while no worker of it is ready."""
        await self._check_server()
        plans, rows = self._sources.plans(), await self._sources.status.workers()
        loading = loading_versions(plans.loading, time.time())
        # Workers of a static list say nothing of their model, so the proxy does not know that one has it.
        of_models = {key: known for key, known in fleet_of(rows).items() if key.model}
        fleet = with_loading(of_models, [*loading, *self._sources.status.left()])
        if not plans.read and (problem := undecided(fleet, wanted)) is not None:
            raise ProblemError(problem)
        model = wanted_model(fleet, wanted, plans.default, plans.models)
        plan = plans.models.get(model)
        version = named_version(fleet, model, wanted, plan)
        order = order_without_version(fleet, model, plan, canary=False) if version is None else (version,)
        if not any(fleet[ModelVersion(model, each)].routable for each in order):
            raise ProblemError(not_ready(model, version, loading))

    async def _load(self, request: web.Request, wanted: Wanted) -> web.Response:
        """Nothing has to be done for a model that is there: 200 once it is ready."""
        options = await _options(request)
        await self._check_known(wanted)
        if options.get("parameters"):
            raise ProblemError(Problem(400, _LOAD))
        return await self._model_ready(request, wanted)

    async def _check_known(self, wanted: Wanted) -> None:
        """Raises ProblemError for a model that is not in the fleet."""
        if wanted.model not in {status.model for status in await self._statuses()}:
            await self._check_server()
            raise ProblemError(
                Problem(404, f"there is no model called {escaped(wanted.model or '')} in this fleet: {_LOAD}")
            )

    async def _index(self, request: web.Request) -> list[dict[str, str]]:
        """All versions. `{"ready": true}` in the body leaves out those that are not ready."""
        ready_only = (await _options(request)).get("ready") is True
        entries = [_entry(status) for status in await self._statuses()]
        return [entry for entry in entries if entry["state"] == "READY" or not ready_only]

    async def _statuses(self) -> tuple[VersionStatus, ...]:
        status, plans = self._sources.status, self._sources.plans()
        return version_statuses(await status.workers(), plans, time.time(), status.left())


def _entry(status: VersionStatus) -> dict[str, str]:
    return {
        "name": status.model,
        "version": status.version,
        "state": _STATES[status.state],
        "reason": status.reason,
    }


def _not_ready(request: web.Request, members: dict[str, Any], problem: Problem) -> web.Response:
    """503, in the form of an answer and of an error."""
    path = path_as_sent(request)
    body = problem.body(path, **members, ready=False)
    return web.Response(status=problem.status, body=body, headers=problem.headers(path))


async def _options(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. Raises ProblemError."""
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ProblemError(TOO_LARGE) from None
    return read_options(body, request.headers.get(hdrs.CONTENT_ENCODING))
