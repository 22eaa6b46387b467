"""Errors of the worker, as problem documents."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from tfleet.contract.names import TICKET, TICKET_QUERY, TICKET_SCHEME, WORKER
from tfleet.contract.problem import Problem
from tfleet.contract.ticket import LIFETIME_S, MAX_CLOCK_SKEW_S
from tfleet.worker.image.errors import ImageError, TooCostlyError, TooManyPixelsError, UnsupportedFormatError
from tfleet.worker.rejection import Rejection

_IMAGE_STATUS = ((TooManyPixelsError, 413), (TooCostlyError, 413), (UnsupportedFormatError, 415))


_ANOTHER_TICKET = "ask the proxy for another one (GET /worker)"


def _no_ticket(detail: str) -> Problem:
    return Problem(401, detail, challenge=TICKET_SCHEME)


_QUEUE_FULL = "this worker has too much to do: send the image again after Retry-After, or to another worker"
_REJECTIONS: Mapping[Rejection, Problem] = {
    Rejection.QUEUE_REQUESTS: Problem(429, f"{_QUEUE_FULL}; see --max-queue", retry_after_s=1),
    Rejection.QUEUE_BYTES: Problem(429, f"{_QUEUE_FULL}; see --max-queue-bytes", retry_after_s=1),
    Rejection.DECODERS_BUSY: Problem(
        429,
        "this worker decodes as many large images as it may at a time: send the image again after "
        "Retry-After, or a smaller one",
        retry_after_s=1,
    ),
    Rejection.NO_DECODER: Problem(
        429,  # not 503: the worker is well for all but large images
        "this worker can't start a process to decode a large image in; its log says why: send the image to "
        "another worker, or a smaller one",
        retry_after_s=1,
    ),
    Rejection.DEADLINE: Problem(
        504, "the caller's time was over before the image's turn came; nothing was computed"
    ),
    Rejection.STARTING: Problem(503, "the worker is loading its model", retry_after_s=1),
    Rejection.DRAINING: Problem(
        503, "this worker is leaving: ask the proxy for another one", retry_after_s=0
    ),
    Rejection.MISDIRECTED: Problem(
        421,
        f"this is for another worker, the one that {WORKER} named: this one has its address now; ask "
        "the proxy again (GET /worker)",
    ),
    Rejection.TICKET_MISSING: _no_ticket(
        "this worker serves only those whom its proxy sent: ask that for a worker (GET /worker) "
        f"and send the ticket that comes with it, as {TICKET}: TICKET or ?{TICKET_QUERY}=TICKET"
    ),
    Rejection.TICKET_MALFORMED: _no_ticket(
        f"what was sent as {TICKET} or ?{TICKET_QUERY}= is no ticket: send the one that the proxy gave "
        "(GET /worker), unchanged"
    ),
    Rejection.TICKET_WRONG_SIGNATURE: _no_ticket(
        "the ticket was altered, or signed with another key or for another service: "
        f"{_ANOTHER_TICKET}; if that is refused, too, proxy and worker differ in --ticket-key-file or "
        "--service"
    ),
    Rejection.TICKET_EXPIRED: _no_ticket(
        f"the ticket has expired, {LIFETIME_S} s after it was given: {_ANOTHER_TICKET}; if that is refused, "
        "too, the clocks of proxy and worker differ"
    ),
    Rejection.TICKET_TOO_LONG: _no_ticket(
        "the ticket is for longer than tickets are: the clocks of proxy and worker differ by more than "
        f"{MAX_CLOCK_SKEW_S} s"
    ),
}
_CLIENT_GONE = 499  # nginx' number for it; no client ever sees it


class ProblemError(Exception):
    """Ends a request with this problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class RejectedError(Exception):
    """Ends a request that is not looked at, for one of these reasons."""

    def __init__(self, reason: Rejection) -> None:
        super().__init__(str(reason))
        self.reason = reason


def problem_response(problem: Problem) -> Response:
    """The document as an answer."""
    return Response(problem.body(), status=problem.status, headers=problem.headers())


def rejection_response(reason: Rejection) -> Response:
    """What is said to whom is rejected; nothing to a client that has gone, but for the log."""
    problem = _REJECTIONS.get(reason)
    return Response(status=_CLIENT_GONE) if problem is None else problem_response(problem)


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
