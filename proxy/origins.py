"""The proxy's own pages, for scripts of web pages: what they may read, and that they may ask."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tfleet.contract.cors import Cors, asking_origin
from tfleet.proxy.middleware import Handler
from tfleet.proxy.problems import ProblemError

_ORIGIN: Final = "Origin"


def allow_origins(app: web.Application, cors: Cors) -> None:
    """Have all answers of the application say which origins may read them, and answer preflights."""

    @web.middleware
    async def preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = asking_origin(request.method, request.headers.get)
        if origin is None:
            return await handler(request)
        if refused := cors.refusal(origin):
            raise ProblemError(refused)
        return web.Response(status=204, headers=cors.preflight(origin))

    async def say(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(cors.headers(request.headers.get(_ORIGIN)))

    app.middlewares.append(preflights)
    app.on_response_prepare.append(say)
