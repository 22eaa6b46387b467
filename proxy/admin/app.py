"""The proxy's routes.

The page behind `GET /` in forward mode.
"""

from __future__ import annotations

from typing import Final, Literal

from aiohttp import hdrs, web

from tfleet.contract.cors import Cors
from tfleet.contract.names import CLASSIFY_PATHS, LOOKUP_PATH, PROXY, TICKET
from tfleet.contract.problem import Problem
from tfleet.proxy.admin.middleware import allow_origins, observed
from tfleet.proxy.admin.worker_metrics import WorkerMetricsPages
from tfleet.proxy.admin.workers import Report
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.problems import ProblemError, problem_response
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.ticket_issuer import TicketIssuer

Mode = Literal["forward", "p2p"]
MODES: Final = ("forward", "p2p")

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def make_app(
    mode: Mode,
    fleet: WorkerTable,
    observer: AccessLog,
    report: Report,
    worker_metrics: WorkerMetricsPages,
    readiness: Readiness,
    tickets: TicketIssuer,
    cors: Cors,
) -> web.Application:
    """The pages: all but what a connection has somebody else take (see connection.py)."""
    app = web.Application(middlewares=[observed(observer)])
    if cors:
        allow_origins(app, cors)

    async def misspelt(request: web.Request) -> web.Response:
        raise ProblemError(Problem(404, f"there is nothing at {request.raw_path}: write the path as it is"))

    for path in CLASSIFY_PATHS:
        app.router.add_post(path, misspelt)  # aiohttp takes escaped letters for what they stand for
    app.router.add_get(LOOKUP_PATH, misspelt)

    async def show_help(request: web.Request) -> web.Response:
        return web.Response(text=help_page(request.host))

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        answer = web.Response(text="ready\n")
        if reason := readiness.missing(fleet):
            answer = problem_response(Problem(503, reason, retry_after_s=1))
        if readiness.name:
            answer.headers[PROXY] = readiness.name
        return answer

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=await report.metrics(), headers={hdrs.CONTENT_TYPE: _METRICS_TYPE})

    app.router.add_get("/", misspelt if mode == "p2p" else show_help)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    _add_workers(app, report, worker_metrics, tickets)
    return app


def _add_workers(
    app: web.Application, report: Report, worker_metrics: WorkerMetricsPages, tickets: TicketIssuer
) -> None:
    async def workers(_: web.Request) -> web.Response:
        ticket = tickets.current()
        headers = {} if ticket is None else {TICKET: ticket, hdrs.CACHE_CONTROL: "no-store"}
        return web.json_response(await report.workers(), headers=headers)

    async def metrics(request: web.Request) -> web.Response:
        page = await worker_metrics(request.match_info["id"])
        return web.Response(body=page, headers={hdrs.CONTENT_TYPE: _METRICS_TYPE})

    app.router.add_get("/workers", workers)
    app.router.add_get("/workers/{id}/metrics", metrics)


def help_page(host: str) -> str:
    """A short text with lines to paste; `host` is how the client reached the proxy."""
    return f"""\
tfleet classifies images. Send one:

  curl -v -XPOST {host} -F "data=@cat.jpg"
  curl -X POST -F image=@cat.jpg 'http://{host}/predict'

Or ask for a worker and send it there, past the proxy:

  curl -v -XPOST $(curl -s {host}/worker) -F "data=@cat.jpg"

?top=N            how many labels, best first
GET /workers      the workers and how they are
GET /healthz, /readyz, /metrics
"""
