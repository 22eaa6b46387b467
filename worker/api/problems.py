"""The worker's errors as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from tfleet.contract.names import TICKET, TICKET_QUERY, TICKET_SCHEME, WORKER
from tfleet.contract.open_inference import nothing_at
from tfleet.contract.problem import Problem, is_plain
from tfleet.contract.tfs_paths import is_tfs_path, refused_request
from tfleet.contract.ticket import LIFETIME_S, MAX_CLOCK_SKEW_S
from tfleet.worker.image.errors import ImageError, TooCostlyError, TooManyPixelsError, UnsupportedFormatError
from tfleet.worker.rejection import Rejection

if TYPE_CHECKING:
    from tfleet.worker.inference.loaded_model import LoadedModel

_IMAGE_STATUS = ((TooManyPixelsError, 413), (TooCostlyError, 413), (UnsupportedFormatError, 415))


_NEW_TICKET = "get a new one from the proxy (GET /worker)"


def _ticket_problem(detail: str) -> Problem:
    return Problem(401, detail, challenge=TICKET_SCHEME)


_QUEUE_FULL = "this worker is overloaded: send the request again after Retry-After, or to another worker"
_REJECTIONS: Mapping[Rejection, Problem] = {
    Rejection.QUEUE_REQUESTS: Problem(429, f"{_QUEUE_FULL}; see --max-queue", retry_after_s=1),
    Rejection.QUEUE_BYTES: Problem(429, f"{_QUEUE_FULL}; see --max-queue-bytes", retry_after_s=1),
    Rejection.INPUT_BYTES: Problem(
        429,
        "this worker is busy with large inputs: send the request again after Retry-After, to another worker, "
        "or with fewer rows; it has eight times --max-queue-bytes for the inputs of all requests together",
        retry_after_s=1,
    ),
    Rejection.DECODERS_BUSY: Problem(
        429,
        "this worker is busy decoding large images: send the image again after Retry-After, or send a "
        "smaller one",
        retry_after_s=1,
    ),
    Rejection.NO_DECODER: Problem(
        429,  # not 503, which would eject the worker: it still serves all other images
        "this worker can't start a process to decode this large image (its log says why): send the image to "
        "another worker, or send a smaller one",
        retry_after_s=1,
    ),
    Rejection.DEADLINE: Problem(
        504, "the request's deadline passed before it had its turn; the model did not run for it"
    ),
    Rejection.STARTING: Problem(503, "the worker is loading its model", retry_after_s=1),
    Rejection.DRAINING: Problem(
        503, "this worker is shutting down: ask the proxy for another one", retry_after_s=0
    ),
    Rejection.MISDIRECTED: Problem(
        421,
        f"the request names another worker in {WORKER}, and this one has that worker's address now: ask the "
        "proxy again (GET /worker)",
    ),
    Rejection.TICKET_MISSING: _ticket_problem(
        "this worker accepts only requests with a ticket: ask the proxy for a worker (GET /worker) and send "
        f"the ticket from its answer, as {TICKET}: TICKET or ?{TICKET_QUERY}=TICKET"
    ),
    Rejection.TICKET_MALFORMED: _ticket_problem(
        f"the value of {TICKET} or ?{TICKET_QUERY}= is not a ticket: send the one from the proxy's answer "
        "(GET /worker), unchanged"
    ),
    Rejection.TICKET_WRONG_SIGNATURE: _ticket_problem(
        "the ticket was altered, or signed with another key or for another service or model: "
        f"{_NEW_TICKET}; if that is rejected as well, proxy and worker differ in --ticket-key-file or "
        "--service"
    ),
    Rejection.TICKET_EXPIRED: _ticket_problem(
        f"the ticket has expired, {LIFETIME_S} s after it was issued: {_NEW_TICKET}; if that is rejected as "
        "well, the clocks of proxy and worker differ"
    ),
    Rejection.TICKET_TOO_LONG: _ticket_problem(
        "the ticket is valid for longer than any ticket: the clocks of proxy and worker differ by more than "
        f"{MAX_CLOCK_SKEW_S} s"
    ),
}
_CLIENT_GONE = 499  # nginx' status for it, only seen in the log


class RejectedError(Exception):
    """The request is rejected before the model runs for it."""

    def __init__(self, reason: Rejection) -> None:
        super().__init__(str(reason))
        self.reason = reason


def problem_response(problem: Problem, path: str) -> Response:
    """A problem document as an answer to a request at this path."""
    return Response(problem.body(path), status=problem.status, headers=problem.headers(path))


def rejection_response(reason: Rejection, path: str) -> Response:
    """The answer to a rejected request; for a client that has gone an empty one, for the log."""
    problem = _REJECTIONS.get(reason)
    return Response(status=_CLIENT_GONE) if problem is None else problem_response(problem, path)


def image_problem(error: ImageError) -> Problem:
    """The problem document for an image error."""
    status = next((status for kind, status in _IMAGE_STATUS if isinstance(error, kind)), 400)
    return Problem(status, str(error))


def takes_no_images(model: LoadedModel) -> Problem:
    """The problem document for an image that is sent to a model of another kind."""
    name, kind = model.spec.name, model.facts.kind.value
    return Problem(
        415,
        f"the model {name} takes no images (its kind is {kind}): send its inputs to POST /predict; GET "
        f"/models/{name} shows an example",
    )


def http_problem(error: HTTPException, method: str, path: str) -> Problem:
    """The problem document for one of Werkzeug's HTTP errors."""
    if isinstance(error, NotFound) and is_tfs_path(path):
        return refused_request(method, path)
    if isinstance(error, NotFound) and is_plain(path):
        return nothing_at(path)
    if isinstance(error, NotFound):
        return Problem(
            404, f"there is no {path}: send an image or the model's inputs to POST /predict, see GET /models"
        )
    if isinstance(error, MethodNotAllowed):
        allowed = tuple(sorted(error.valid_methods or ()))
        return Problem(405, f"{path} does not allow {method}: use {' or '.join(allowed)}", allow=allowed)
    return Problem(error.code or 500, error.description or error.name)
