"""Middlewares of the proxy's own pages: request ids, problem documents, the access log and CORS."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import hdrs, web

from tfleet.contract.cors import Cors, preflight_origin
from tfleet.contract.names import REQUEST_ID, WORKER
from tfleet.contract.problem import Problem, ProblemError
from tfleet.contract.request_id import request_id
from tfleet.proxy.problems import http_problem, problem_response
from tfleet.proxy.telemetry.access_log import CLIENT_CLOSED, AccessLog

_ORIGIN: Final = "Origin"
_REQUEST_ID: Final = web.RequestKey("request_id", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def set_request_id(request: web.BaseRequest, value: str) -> None:
    """Give the request its id, once, before anything is done with it."""
    request[_REQUEST_ID] = value


def request_id_of(request: web.BaseRequest) -> str:
    """The id that `set_request_id` gave."""
    return request[_REQUEST_ID]


def path_as_sent(request: web.BaseRequest) -> str:
    """The path without the query, with its escapes."""
    return request.raw_path.partition("?")[0]


def logged(access_log: AccessLog) -> Any:
    """Return the outermost middleware: request id, problem documents and access log."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        began_s = time.perf_counter()
        set_request_id(request, request_id(request.headers.get(REQUEST_ID)))
        status, response = CLIENT_CLOSED, None
        try:
            response = await _answer(request, handler, access_log)
            status = response.status
            return response
        finally:
            resource = request.match_info.route.resource
            access_log.answered(
                request_id=request_id_of(request),
                method=request.method,
                path=request.path,
                route=resource.canonical if resource else "unknown",
                status=status,
                seconds=time.perf_counter() - began_s,
                worker=response.headers.get(WORKER) if response else None,
            )

    return middleware


async def _answer(request: web.Request, handler: Handler, access_log: AccessLog) -> web.StreamResponse:
    path = path_as_sent(request)
    try:
        response = await handler(request)
    except ProblemError as error:
        response = problem_response(error.problem, path)
    except web.HTTPException as error:
        response = problem_response(http_problem(error, request), path)
    except (ConnectionError, TimeoutError):
        raise
    except Exception as error:
        access_log.went_wrong(request_id=request_id_of(request), error=error)
        response = problem_response(
            Problem(500, "the proxy failed; its log has the reason under this request id"), path
        )
    response.headers[REQUEST_ID] = request_id_of(request)
    response.headers[hdrs.SERVER] = "tfleet"
    return response


def allow_origins(app: web.Application, cors: Cors) -> None:
    """Add the CORS headers to all responses of the application, and answer preflights."""

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
