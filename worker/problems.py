"""Errors of the worker, as problem documents."""

from __future__ import annotations

from flask import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from tfleet.discovery.problem import Problem
from tfleet.worker.image.errors import ImageError, TooManyPixelsError, UnsupportedFormatError

_IMAGE_STATUS = ((TooManyPixelsError, 413), (UnsupportedFormatError, 415))


class ProblemError(Exception):
    """Ends a request with this problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def problem_response(problem: Problem) -> Response:
    """The document as an answer."""
    return Response(problem.body(), status=problem.status, headers=problem.headers())


def image_problem(error: ImageError) -> Problem:
    """What is wrong with the image."""
    status = next((status for kind, status in _IMAGE_STATUS if isinstance(error, kind)), 400)
    return Problem(status, str(error))


def http_problem(error: HTTPException, method: str, path: str) -> Problem:
    """What Werkzeug's own refusals mean here."""
    if isinstance(error, NotFound):
        return Problem(404, f"there is nothing at {path}: images go to POST / or POST /predict")
    if isinstance(error, MethodNotAllowed):
        allowed = tuple(sorted(error.valid_methods or ()))
        return Problem(405, f"{method} is not for {path}: use {' or '.join(allowed)}", allow=allowed)
    return Problem(error.code or 500, error.description or error.name)


STARTING = Problem(503, "the worker is loading its model", retry_after_s=1)
OVERDUE = Problem(504, "the caller's time was over before the image's turn came; nothing was computed")
DRAINING = Problem(503, "this worker is leaving: ask the proxy for another one", retry_after_s=0)
