"""The proxy's own pages: a plain aiohttp application, which knows nothing of the clients' connections.

Pages for operators are those about the fleet: `/workers`, `/workers/ID/metrics` and `/metrics`. With
`--admin-port` the public port does not serve them. The pages below `/v1` and `/v2` are in inference_pages.py.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from tfleet.contract.cors import Cors
from tfleet.contract.names import (
    CLASSIFY_PATHS,
    EMBED_PATH,
    LOOKUP_PATH,
    MODELS_PATH,
    OPENAPI_PATH,
    PREDICT_PATH,
    PROXY,
    TICKET,
)
from tfleet.contract.problem import Problem, ProblemError
from tfleet.proxy.admin.help_page import ServedModels, help_page, served_models
from tfleet.proxy.admin.inference_pages import add_inference_pages
from tfleet.proxy.admin.job_documents import job_documents
from tfleet.proxy.admin.middleware import allow_origins, logged
from tfleet.proxy.admin.models import models_document, refused_documents, stand_in_documents
from tfleet.proxy.admin.openapi_page import OpenApiPage
from tfleet.proxy.admin.page_sources import PageSources
from tfleet.proxy.admin.worker_metrics import WorkerMetricsPages
from tfleet.proxy.admin.workers import ProxyStatus, document
from tfleet.proxy.balancing.versions import loading_versions
from tfleet.proxy.problems import problem_response
from tfleet.proxy.settings import ModeSettings
from tfleet.proxy.telemetry.access_log import AccessLog

_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(
    serving: ModeSettings,
    sources: PageSources,
    access_log: AccessLog,
    cors: Cors,
    *,
    for_operators: bool = True,
    predicts: bool = True,
) -> web.Application:
    """All pages, or only those for everybody: then the paths of the others are 404. `predicts` is whether the
    port answers predictions as well.
    """
    app = web.Application(middlewares=[logged(access_log)])
    if cors:
        allow_origins(app, cors)
    for path in (*CLASSIFY_PATHS, EMBED_PATH):
        app.router.add_post(path, _misspelt)  # aiohttp takes escaped letters for what they stand for
    app.router.add_get(MODELS_PATH, _models(sources, for_operators=for_operators))
    for path in (PREDICT_PATH, MODELS_PATH + "/{below:.*}"):
        app.router.add_get(path, _misspelt)
        if path != PREDICT_PATH:
            app.router.add_post(path, _misspelt)
    app.router.add_get(LOOKUP_PATH, _misspelt)
    app.router.add_get("/", _help(serving, sources.status, for_operators=for_operators))
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz(sources.status))
    add_inference_pages(app, sources)
    openapi = OpenApiPage(sources, serving, for_operators=for_operators, predicts=predicts)
    app.router.add_get(OPENAPI_PATH, openapi.answer)
    for path, page in _operator_pages(sources).items():
        if for_operators:
            app.router.add_get(path, page)
        else:
            app.router.add_route("*", path, _not_on_this_port)
    return app


def _operator_pages(sources: PageSources) -> dict[str, _Page]:
    worker_pages = WorkerMetricsPages(sources.status, sources.session)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await sources.status.metrics(), headers={hdrs.CONTENT_TYPE: _METRICS_TYPE})

    async def workers(_: web.Request) -> web.Response:
        ticket = sources.tickets.current()
        headers = {} if ticket is None else {TICKET: ticket, hdrs.CACHE_CONTROL: "no-store"}
        plans, rows = sources.plans(), await sources.status.workers()
        refused, instead = refused_documents(plans, time.time()), stand_in_documents(rows, plans)
        jobs = job_documents(await sources.status.metrics()) if sources.jobs else []
        return web.json_response(document(rows, refused, instead, jobs), headers=headers)

    async def worker_metrics(request: web.Request) -> web.Response:
        page = await worker_pages(request.match_info["id"])
        return web.Response(body=page, headers={hdrs.CONTENT_TYPE: _METRICS_TYPE})

    return {"/metrics": metrics, "/workers": workers, "/workers/{id}/metrics": worker_metrics}


def _models(sources: PageSources, *, for_operators: bool) -> _Page:
    async def models(_: web.Request) -> web.Response:
        status, plans = sources.status, sources.plans()
        # The reasons name paths on the machine of the workers.
        refused = refused_documents(plans, time.time()) if for_operators else []
        rows = await status.workers()
        loading = loading_versions(plans.loading, time.time())
        return web.json_response(models_document(rows, plans, refused, status.mirrored(), loading))

    return models


def _readyz(status: ProxyStatus) -> _Page:
    async def readyz(_: web.Request) -> web.Response:
        answer = web.Response(text="ready\n")
        if reason := await status.missing():
            answer = problem_response(Problem(503, reason, retry_after_s=1))
        if status.name:
            answer.headers[PROXY] = status.name
        return answer

    return readyz


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _help(serving: ModeSettings, status: ProxyStatus, *, for_operators: bool) -> _Page:
    async def show_help(request: web.Request) -> web.Response:
        served = ServedModels()
        with contextlib.suppress(ProblemError):  # the page is of use without the models, too
            served = served_models(row.instance for row in await status.workers())
        text = help_page(request.host, served, p2p=serving.is_p2p, for_operators=for_operators)
        return web.Response(text=text)

    return show_help


async def _misspelt(request: web.Request) -> web.Response:
    raise ProblemError(Problem(404, f"there is nothing at {request.raw_path}: write the path as it is"))


async def _not_on_this_port(request: web.Request) -> web.Response:
    raise ProblemError(Problem(404, f"{request.path} is not served on this port"))
