"""Errors of the proxy itself, as problem documents."""

from __future__ import annotations

from aiohttp import web

from tfleet.contract.problem import Problem


def problem_response(problem: Problem, path: str = "/") -> web.Response:
    """Return the problem document as an aiohttp response to a request at this path."""
    return web.Response(status=problem.status, body=problem.body(path), headers=problem.headers(path))


def http_problem(error: web.HTTPException, request: web.BaseRequest) -> Problem:
    """Return the problem for aiohttp's own errors (404, 405, ...)."""
    if isinstance(error, web.HTTPNotFound):
        where = "predictions are at POST / and /predict, models below /models"
        return Problem(404, f"there is nothing at {request.path}: {where}")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = tuple(sorted(error.allowed_methods))
        return Problem(
            405, f"{request.method} is not for {request.path}: use {' or '.join(allowed)}", allow=allowed
        )
    return Problem(error.status, error.text or error.reason)


def body_too_large(limit_bytes: int) -> Problem:
    """Return the 413 that names the option."""
    return Problem(413, f"the body is over {limit_bytes} bytes, the proxy's limit: see --max-body-bytes")


NO_WORKER = Problem(
    503, "no worker is ready: see GET /workers, or start one with `tfleet worker`", retry_after_s=1
)
TOO_MANY_CLIENTS = Problem(
    503, "the proxy has all the connections it may have: see --max-connections", retry_after_s=1
)
