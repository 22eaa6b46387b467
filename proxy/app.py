"""The proxy's routes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from aiohttp import HttpVersion11, hdrs, web

from tfleet.discovery.contract import CLASSIFY_PATHS
from tfleet.discovery.problem import Problem
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.forward import Forwarder
from tfleet.proxy.head import head_fault
from tfleet.proxy.help import help_page
from tfleet.proxy.lookup import Lookup
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.middleware import observed
from tfleet.proxy.problems import ProblemError
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.status import workers_document

Mode = Literal["forward", "p2p"]
MODES: Final = ("forward", "p2p")

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def make_app(
    mode: Mode, fleet: Fleet, forwarder: Forwarder, metrics: Metrics, readiness: Readiness
) -> web.Application:
    """The application, without anything that runs beside the requests."""
    app = web.Application(middlewares=[observed(metrics)])
    app.on_response_prepare.append(_last_on_its_connection(readiness))
    lookup = Lookup(fleet, forwards=mode == "forward")

    for path in CLASSIFY_PATHS:
        handler = lookup.redirect if mode == "p2p" else forwarder.handle
        app.router.add_route("POST", path, handler, expect_handler=_asking_for_bodies(mode, forwarder))

    async def show_help(request: web.Request) -> web.Response:
        return web.Response(text=help_page(request.host))

    async def workers(_: web.Request) -> web.Response:
        return web.json_response(workers_document(fleet))

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if reason := readiness.missing(fleet):
            raise ProblemError(Problem(503, reason, retry_after_s=1))
        return web.Response(text="ready\n")

    async def show_metrics(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(metrics.text)  # it reads /proc
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: _METRICS_TYPE})

    app.router.add_get("/", lookup.handle if mode == "p2p" else show_help)
    app.router.add_get("/worker", lookup.handle)
    app.router.add_get("/workers", workers)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    return app


def _asking_for_bodies(mode: Mode, forwarder: Forwarder) -> Callable[[web.Request], Awaitable[None]]:
    """What `Expect` gets: 100 only where the body will be read, else the final answer at once."""

    async def expect(request: web.Request) -> None:
        if request.version < HttpVersion11:
            return  # it would take 100 for the answer (RFC 9110 section 10.1.1)
        wanted = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        if wanted and mode == "forward" and not head_fault(request) and not forwarder.refusal(request):
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer proper has not begun

    return expect


def _last_on_its_connection(
    readiness: Readiness,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """While the proxy drains, each answer tells the client to come back on a new connection, elsewhere."""

    async def prepare(_: web.Request, response: web.StreamResponse) -> None:
        if readiness.draining:
            response.headers[hdrs.CONNECTION] = "close"
            response.force_close()

    return prepare
