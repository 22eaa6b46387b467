"""What every request to a worker passes: request id, log line, metrics, errors as problem documents, CORS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from tfleet.contract.cors import Cors, preflight_origin
from tfleet.contract.names import DRAIN_PATH, REQUEST_ID
from tfleet.contract.problem import Problem, ProblemError
from tfleet.contract.request_id import request_id
from tfleet.discovery.instance import Instance
from tfleet.worker.api.observer import FORWARDED_FOR, UNKNOWN, AnsweredRequest, Observer
from tfleet.worker.api.problems import (
    RejectedError,
    http_problem,
    image_problem,
    problem_response,
    rejection_response,
)
from tfleet.worker.api.read_prediction import PredictionBody
from tfleet.worker.image.errors import ImageError
from tfleet.worker.metrics import StageTimes, WorkerMetrics
from tfleet.worker.wsgi.environ import FAILED, QUEUE

_MALFORMED = "malformed"


def set_timing(timing: StageTimes) -> None:
    """Set the times for the Server-Timing header of the current request's answer."""
    g.timing = timing


def predicted(answered: tuple[PredictionBody, StageTimes]) -> Response:
    """The response of a prediction, and the times of its stages."""
    body, timing = answered
    set_timing(timing)
    return Response(body.content, headers=body.headers)


def observe(
    app: Flask, instance: Instance, metrics: WorkerMetrics, in_session_queue: Callable[[], int]
) -> None:
    """Add a request id to each request; add headers to each answer, count it and log it.

    `in_session_queue` returns how many requests have a thread and wait for the session.
    """
    observer = Observer(instance, metrics, in_session_queue)

    @app.before_request
    def begin() -> None:
        g.began_s = time.perf_counter()
        g.request_id = request_id(request.headers.get(REQUEST_ID))

    @app.after_request
    def end(response: Response) -> Response:
        waiting = request.environ[QUEUE].waiting
        for name, value in observer.headers(g.request_id, waiting, g.get("timing")):
            response.headers[name] = value
        observer.note(
            AnsweredRequest(
                request_id=g.request_id,
                method=request.method,
                path=request.path,
                rule=request.url_rule.rule if request.url_rule else UNKNOWN,
                client=request.headers.get(FORWARDED_FOR, request.remote_addr),
                began_s=g.began_s,
                status=response.status_code,
                rejected=g.get("rejected"),
            )
        )
        return response


def raise_failures(app: Flask) -> None:
    """Answer what a request has failed with before it came here, as if it had failed here."""

    @app.before_request
    def fail() -> None:
        if FAILED in request.environ:
            raise request.environ[FAILED]


def refusals(instance: Instance, metrics: WorkerMetrics) -> Callable[[str, Problem], None]:
    """A function that counts and logs malformed requests, which never reach the application.

    It takes the request id and the answer.
    """
    log: Any = structlog.get_logger().bind(worker=instance.id)

    def note(request_id: str, problem: Problem) -> None:
        metrics.answered(_MALFORMED, problem.status)
        log.info(
            "request",
            request_id=request_id,
            method=None,
            path=None,
            status=problem.status,
            error=problem.detail,
        )

    return note


def report_errors(app: Flask, metrics: WorkerMetrics) -> None:
    """Answer every error with a problem document, and count rejected requests."""
    log: Any = structlog.get_logger()

    @app.errorhandler(ProblemError)
    def problem(error: ProblemError) -> Response:
        return problem_response(error.problem, request.path)

    @app.errorhandler(RejectedError)
    def rejected(error: RejectedError) -> Response:
        metrics.rejected.labels(error.reason).inc()
        g.rejected = error.reason
        return rejection_response(error.reason, request.path)

    @app.errorhandler(ImageError)
    def image(error: ImageError) -> Response:
        return problem_response(image_problem(error), request.path)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        return problem_response(http_problem(error, request.method, request.path), request.path)

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.error("request failed", request_id=g.request_id, exc_info=error)
        return problem_response(
            Problem(500, "internal error of the worker; its log has the reason under this request id"),
            request.path,
        )


_ORIGIN: Final = "Origin"


def allow_origins(app: Flask, cors: Cors) -> None:
    """Add CORS headers to all answers, and answer preflights; but never for POST /drain, which no web page
    needs.
    """

    @app.before_request
    def preflight() -> Response | None:
        origin = preflight_origin(request.method, request.headers.get)
        if origin is None or request.path == DRAIN_PATH:
            return None
        if refused := cors.preflight_problem(origin):
            raise ProblemError(refused)
        return Response(status=204, headers=dict(cors.preflight(origin)))

    @app.after_request
    def add_cors_headers(response: Response) -> Response:
        if request.path != DRAIN_PATH:
            response.headers.update(cors.headers(request.headers.get(_ORIGIN)))
        return response
