"""What the proxy knows of a request beside its head.

What every page of the proxy's own goes through: an id, problem documents for errors, and being noted.

The proxy's own pages, for scripts of web pages: what they may read, and that they may ask.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from tfleet.contract.cors import Cors, preflight_origin
from tfleet.contract.names import REQUEST_ID, WORKER
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.proxy.problems import ProblemError, http_problem, problem_response
from tfleet.proxy.telemetry.access_log import CLIENT_CLOSED, AccessLog

_REQUEST_ID = web.RequestKey("request_id", str)


def set_request_id(request: web.BaseRequest, value: str) -> None:
    """Give the request its id, once, before anything is done with it."""
    request[_REQUEST_ID] = value


def request_id_of(request: web.BaseRequest) -> str:
    """The id that `set_request_id` gave."""
    return request[_REQUEST_ID]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def observed(observer: AccessLog) -> Any:
    """The outermost middleware."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        began_s = time.perf_counter()
        set_request_id(request, request_id(request.headers.get(REQUEST_ID)))
        status, response = CLIENT_CLOSED, None
        try:
            response = await _answer(request, handler, observer)
            status = response.status
            return response
        finally:
            resource = request.match_info.route.resource
            observer.answered(
                request_id=request_id_of(request),
                method=request.method,
                path=request.path,
                route=resource.canonical if resource else "unknown",
                status=status,
                seconds=time.perf_counter() - began_s,
                worker=response.headers.get(WORKER) if response else None,
            )

    return middleware


async def _answer(request: web.Request, handler: Handler, observer: AccessLog) -> web.StreamResponse:
    try:
        response = await handler(request)
    except ProblemError as error:
        response = problem_response(error.problem)
    except web.HTTPException as error:
        response = problem_response(http_problem(error, request))
    except (ConnectionError, TimeoutError):
        raise
    except Exception as error:
        observer.went_wrong(request_id=request_id_of(request), error=error)
        response = problem_response(
            Problem(500, "the proxy failed; its log has the reason under this request id")
        )
    response.headers[REQUEST_ID] = request_id_of(request)
    return response


_ORIGIN: Final = "Origin"


def allow_origins(app: web.Application, cors: Cors) -> None:
    """Have all answers of the application say which origins may read them, and answer preflights."""

    @web.middleware
    async def preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = preflight_origin(request.method, request.headers.get)
        if origin is None:
            return await handler(request)
        if refused := cors.preflight_problem(origin):
            raise ProblemError(refused)
        return web.Response(status=204, headers=cors.preflight(origin))

    async def say(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(cors.headers(request.headers.get(_ORIGIN)))

    app.middlewares.append(preflights)
    app.on_response_prepare.append(say)
