"""What every page of the proxy's own goes through: an id, problem documents for errors, and being noted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tfleet.contract.names import REQUEST_ID, WORKER
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.proxy.observer import CLIENT_CLOSED, Observer
from tfleet.proxy.problems import ProblemError, http_problem, problem_response
from tfleet.proxy.request_context import request_id_of, set_request_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def observed(observer: Observer) -> Any:
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


async def _answer(request: web.Request, handler: Handler, observer: Observer) -> web.StreamResponse:
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
