"""Turn the fleet's responses into classifications or exceptions. No I/O.

A status counts even if the body is not tfleet's: a load balancer in front of the fleet answers 413 or 502 in
HTML, and the caller reacts in the same way. Only an answer that neither the fleet nor a balancer gives is
"not tfleet".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tfleet.client.errors import (
    BadImageError,
    BusyError,
    DeadlineExceededError,
    FleetError,
    FleetUnavailableError,
    RejectedInputError,
    TryLaterError,
    UnexpectedAnswerError,
    WorkerFailedError,
)
from tfleet.client.http.npy import read_vector
from tfleet.client.results import Classification, ImageVector, ModelAnswer, Prediction, parse_server_timing
from tfleet.contract import names as contract
from tfleet.contract.names import whole_number

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse

_OK: Final = 200
_ELSEWHERE: Final = 307
_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500
_WRONG_PLACE: Final = frozenset({401, 403, 404, 405, 407})
"""4xx that say nothing about the image: the address or the method is wrong, or access is denied."""
_REJECTED_BY_FLEET_OR_BALANCER: Final = frozenset({413, 415, 422})
_TRY_LATER: Final[Mapping[int, type[TryLaterError]]] = {429: BusyError, 503: FleetUnavailableError}
_TOO_LATE: Final = frozenset({408, 504})
_MAX_DETAIL: Final = 500
_MAX_RETRY_AFTER_DIGITS: Final = 6


def classification(
    reply: HttpResponse, *, request_id: str, elapsed_ms: float, failed_attempts: int = 0
) -> Classification:
    """Read the answer of `POST /predict`; raises the FleetError that any other answer means.

    `request_id` is the id that was sent, `elapsed_ms` the duration of the call so far, `failed_attempts` the
    number of the client's failed attempts before.
    """
    document = succeeded(reply, request_id=request_id)
    predictions = _predictions(document.get("predictions"))
    if predictions is None:
        raise not_our_response(reply, request_id)
    return Classification(
        predictions,
        worker=reply.headers.get(contract.WORKER, ""),
        model=reply.headers.get(contract.MODEL, ""),
        request_id=reply.headers.get(contract.REQUEST_ID, request_id),
        timing=parse_server_timing(reply.headers.get(contract.SERVER_TIMING, "")),
        elapsed_ms=elapsed_ms,
        retries=_retries(reply, failed_attempts),
    )


def image_vector(
    reply: HttpResponse, *, request_id: str, elapsed_ms: float, failed_attempts: int = 0
) -> ImageVector:
    """Read the .npy answer of `POST /embed`; raises the FleetError that any other answer means. The arguments
    are those of `classification`.
    """
    if reply.status != _OK:
        raise failure(reply, request_id=request_id)
    vector, space = read_vector(reply.body), reply.headers.get(contract.EMBEDDING, "")
    if not vector or not space:
        raise not_our_response(reply, request_id)
    return ImageVector(
        vector,
        space,
        worker=reply.headers.get(contract.WORKER, ""),
        model=reply.headers.get(contract.MODEL, ""),
        request_id=reply.headers.get(contract.REQUEST_ID, request_id),
        timing=parse_server_timing(reply.headers.get(contract.SERVER_TIMING, "")),
        elapsed_ms=elapsed_ms,
        retries=_retries(reply, failed_attempts),
    )


def model_answer(
    reply: HttpResponse, *, request_id: str, elapsed_ms: float, failed_attempts: int = 0
) -> ModelAnswer:
    """Read the JSON answer of `POST /predict` to rows or tensors; raises the FleetError that any other answer
    means. The arguments are those of `classification`.
    """
    document = succeeded(reply, request_id=request_id, rejected=RejectedInputError)
    outputs, items = document.get("outputs"), document.get("predictions")
    predictions: Any = ()
    if outputs is None and isinstance(items, list):
        if items and isinstance(items[0], list):
            predictions = tuple(map(_predictions, items))
        else:
            predictions = _predictions(items)
    elif not isinstance(outputs, dict):
        predictions = None
    if predictions is None or None in predictions:
        raise not_our_response(reply, request_id)
    return ModelAnswer(
        outputs or {},
        predictions,
        worker=reply.headers.get(contract.WORKER, ""),
        model=reply.headers.get(contract.MODEL, ""),
        request_id=reply.headers.get(contract.REQUEST_ID, request_id),
        timing=parse_server_timing(reply.headers.get(contract.SERVER_TIMING, "")),
        elapsed_ms=elapsed_ms,
        retries=_retries(reply, failed_attempts),
    )


def _retries(reply: HttpResponse, failed_attempts: int) -> int:
    return failed_attempts + (whole_number(reply.headers.get(contract.RETRIES, "")) or 0)


def succeeded(
    reply: HttpResponse, *, request_id: str | None = None, rejected: type[FleetError] = BadImageError
) -> dict[str, Any]:
    """The JSON object of a 200; raises the FleetError that any other answer means."""
    if reply.status != _OK:
        raise failure(reply, request_id=request_id, rejected=rejected)
    document = reply.document()
    if document is None:
        raise not_our_response(reply, request_id)
    return document


def failure(
    reply: HttpResponse, *, request_id: str | None = None, rejected: type[FleetError] = BadImageError
) -> FleetError:
    """The exception that an answer other than 200 means; `rejected` is that of a 4xx about what was sent."""
    status, request_id = reply.status, reply.headers.get(contract.REQUEST_ID, request_id)
    said = detail(reply)
    message = said or f"{reply.url} answered {reply.describe()}"
    if later := _TRY_LATER.get(status):
        return later(message, status=status, request_id=request_id, retry_after_s=_retry_after_s(reply))
    if status in _TOO_LATE:
        return DeadlineExceededError(message, status=status, request_id=request_id)
    if status >= _SERVER_ERROR:
        return WorkerFailedError(message, status=status, request_id=request_id)
    if said is not None and status in _WRONG_PLACE:
        return UnexpectedAnswerError(f"{reply.url}: {said}", status=status, request_id=request_id)
    if status in _REJECTED_BY_FLEET_OR_BALANCER or (said is not None and status >= _BAD_REQUEST):
        return rejected(message, status=status, request_id=request_id)
    return not_our_response(reply, request_id)


def not_our_response(reply: HttpResponse, request_id: str | None) -> UnexpectedAnswerError:
    """The exception for an answer that no tfleet gives."""
    location = reply.headers.get("Location")
    if reply.status == _ELSEWHERE and contract.WORKER in reply.headers:
        message = f"{reply.url} is a proxy in p2p mode, which has no answers itself: use p2p=True, or --p2p"
    else:
        to = f" to {location[:_MAX_DETAIL]}" if location else ""
        said = f"{reply.url} answered {reply.describe()}{to}"
        message = f"{said}, which is not what tfleet says: is the address right?"
    return UnexpectedAnswerError(message, status=reply.status, request_id=request_id)


def _predictions(items: object) -> tuple[Prediction, ...] | None:
    if not isinstance(items, list):
        return None
    predictions = []
    for item in items:
        prediction = _prediction(item)
        if prediction is None:
            return None
        predictions.append(prediction)
    return tuple(predictions)


def _prediction(item: object) -> Prediction | None:
    if not isinstance(item, dict):
        return None
    label, probability, score = item.get("label"), item.get("probability"), item.get("score")
    if not isinstance(label, str):
        return None
    if isinstance(probability, int | float):
        return Prediction(label, float(probability))
    return Prediction(label, None, float(score)) if isinstance(score, int | float) else None


def detail(reply: HttpResponse) -> str | None:
    """The detail of a problem document, on one line and of bounded length; None for any other body."""
    document = reply.document()
    if document is None or "status" not in document:
        return None
    detail = document.get("detail") or document.get("title")
    return " ".join(detail.split())[:_MAX_DETAIL] if isinstance(detail, str) and detail.strip() else None


def _retry_after_s(reply: HttpResponse) -> float | None:
    """The seconds of Retry-After; None for a date, which would need synchronized clocks."""
    text = reply.headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_RETRY_AFTER_DIGITS else None
