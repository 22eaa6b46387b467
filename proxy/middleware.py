"""What every request goes through: an id, problem documents for errors, a log line and the counters."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web

from tfleet.discovery.contract import REQUEST_ID, WORKER
from tfleet.discovery.problem import Problem
from tfleet.discovery.request_id import request_id
from tfleet.proxy.attempt import BrokenAnswerError
from tfleet.proxy.head import head_fault
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.problems import ProblemError, http_problem, problem_response
from tfleet.proxy.request_context import request_id_of, set_request_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CLIENT_CLOSED: Final = 499
"""nginx's status for a client that did not wait for its answer; it is only counted and logged."""

_BROKEN: Final = 400
_BROKEN_ANSWER: Final = 502
"""As what an answer is counted and logged that its worker did not end; the client has seen its beginning."""

# Asked every few seconds by whoever watches the fleet: not worth a line each.
_WATCHING = frozenset({"/healthz", "/readyz", "/metrics", "/workers"})


def observed(metrics: Metrics) -> Any:
    """The outermost middleware."""
    log = structlog.get_logger()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        began_s = time.perf_counter()
        set_request_id(request, request_id(request.headers.get(REQUEST_ID)))
        status, response = CLIENT_CLOSED, None
        try:
            response = await _answer(request, handler, log)
            status = response.status
            return response
        except BrokenAnswerError:
            status = _BROKEN_ANSWER
            raise
        finally:
            seconds = time.perf_counter() - began_s
            resource = request.match_info.route.resource
            route = resource.canonical if resource else "unknown"
            metrics.requests.labels(route, str(status)).inc()
            metrics.seconds.labels(route).observe(seconds)
            if request.path not in _WATCHING:
                log.info(
                    "request",
                    request_id=request_id_of(request),
                    method=request.method,
                    path=request.path,
                    status=status,
                    ms=round(seconds * 1000, 1),
                    worker=response.headers.get(WORKER) if response else None,
                )

    return middleware


async def _answer(request: web.Request, handler: Handler, log: Any) -> web.StreamResponse:
    try:
        if fault := head_fault(request):
            raise ProblemError(Problem(400, f"the request is refused: {fault}"))
        response = await handler(request)
    except ProblemError as error:
        response = _problem(request, error.problem)
    except web.HTTPException as error:
        response = _problem(request, http_problem(error, request))
    except (ConnectionError, TimeoutError):
        raise
    except Exception:
        log.exception("request failed", request_id=request_id_of(request))
        response = _problem(
            request, Problem(500, "the proxy failed; its log has the reason under this request id")
        )
    if not response.prepared:
        response.headers[REQUEST_ID] = request_id_of(request)
    return response


def _problem(request: web.Request, problem: Problem) -> web.Response:
    response = problem_response(problem)
    # What is left of the body is not read; nor is it certain where the next request would begin.
    if problem.status == _BROKEN or (request.body_exists and not request.content.at_eof()):
        response.force_close()
    return response
