from __future__ import annotations

import json
from typing import Any

import pytest

from tfleet.client import (
    BadImageError,
    BusyError,
    DeadlineExceededError,
    FleetError,
    FleetUnavailableError,
    Prediction,
    Timing,
    TryLaterError,
    UnexpectedAnswerError,
    WorkerFailedError,
)
from tfleet.client.http.responses import classification, failure
from tfleet.client.http.transport import HttpResponse

URL = "http://proxy:12480/predict"
HTML = b"<html>It works!</html>"


def reply(status: int, document: Any, **headers: str) -> HttpResponse:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpResponse(URL, status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def problem(status: int, detail: object = "said so", **headers: str) -> HttpResponse:
    return reply(status, {"title": "No", "status": status, "detail": detail, "success": False}, **headers)


def test_a_classification_has_what_document_and_headers_say() -> None:
    document = {
        "success": True,
        "predictions": [{"label": "tabby", "probability": 0.5}, {"label": "x", "probability": 0}],
        "later": "field",
    }
    answer = reply(
        200, document, X_Worker="w1", X_Model="m/1", X_Request_Id="theirs", Server_Timing="infer;dur=8"
    )
    result = classification(answer, request_id="ours", elapsed_ms=12.5)
    assert result.predictions == (Prediction("tabby", 0.5), Prediction("x", 0.0))
    assert (result.worker, result.model, result.request_id) == ("w1", "m/1", "theirs")
    assert (result.timing, result.elapsed_ms) == (Timing(infer_ms=8.0), 12.5)


@pytest.mark.parametrize(("header", "retries"), [("2", 3), ("", 1), ("many", 1)])
def test_retries_count_the_proxys_and_the_clients(header: str, retries: int) -> None:
    answer = reply(200, {"predictions": []}, X_Retries=header)
    assert classification(answer, request_id="r", elapsed_ms=1, failed_attempts=1).retries == retries


def test_missing_headers_are_empty_and_the_id_is_the_sent_one() -> None:
    result = classification(reply(200, {"predictions": []}), request_id="ours", elapsed_ms=1)
    assert (result.worker, result.model, result.request_id, result.timing) == ("", "", "ours", Timing())


@pytest.mark.parametrize(
    "document",
    [
        HTML,
        b"",
        b'{"success": true, "predic',
        [],
        {},
        {"predictions": "tabby"},
        {"predictions": ["tabby"]},
        {"predictions": [{"label": 1, "probability": 0.5}]},
        {"predictions": [{"label": "tabby", "probability": "half"}]},
        {"predictions": [{"label": "tabby"}]},
    ],
)
def test_a_200_that_holds_no_predictions_is_not_tfleets(document: Any) -> None:
    with pytest.raises(UnexpectedAnswerError, match=r"http://proxy:12480/predict answered 200 OK") as caught:
        classification(reply(200, document), request_id="r", elapsed_ms=1)
    assert (caught.value.status, caught.value.request_id) == (200, "r")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadImageError),
        (413, BadImageError),
        (415, BadImageError),
        (422, BadImageError),
        (401, UnexpectedAnswerError),
        (404, UnexpectedAnswerError),
        (405, UnexpectedAnswerError),
        (408, DeadlineExceededError),
        (504, DeadlineExceededError),
        (429, BusyError),
        (503, FleetUnavailableError),
        (500, WorkerFailedError),
        (502, WorkerFailedError),
    ],
)
def test_a_problem_document_becomes_its_error(status: int, kind: type[FleetError]) -> None:
    """Its class says what the caller can do; its message is the document's."""
    error = failure(problem(status, "two\nlines  of it", X_Request_Id="theirs"), request_id="ours")
    assert type(error) is kind
    assert str(error).endswith("two lines of it")
    assert (error.status, error.request_id) == (status, "theirs")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, UnexpectedAnswerError),
        (400, UnexpectedAnswerError),
        (403, UnexpectedAnswerError),
        (404, UnexpectedAnswerError),
        (413, BadImageError),
        (415, BadImageError),
        (429, BusyError),
        (500, WorkerFailedError),
        (502, WorkerFailedError),
        (503, FleetUnavailableError),
        (504, DeadlineExceededError),
    ],
)
def test_an_unknown_server_is_named_by_url_and_status(status: int, kind: type[FleetError]) -> None:
    error = failure(reply(status, HTML, Content_Type="text/html"), request_id="ours")
    assert type(error) is kind
    assert str(error).startswith(f"{URL} answered {status} ")
    assert "(text/html)" in str(error)
    assert (error.status, error.request_id) == (status, "ours")


def test_a_redirect_says_where_to() -> None:
    error = failure(reply(302, b"", Location="https://elsewhere/"))
    assert "302 Found (no content type) to https://elsewhere/" in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"), [("2", 2.0), ("0", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("9" * 99, None)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_or_nothing(status: int, header: str, seconds: float | None) -> None:
    error = failure(problem(status, Retry_After=header))
    assert isinstance(error, TryLaterError)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(("detail", "said"), [(None, "No"), ("", "No"), ("x" * 9999, "x" * 500)])
def test_a_problem_without_detail_shows_its_title(detail: object, said: str) -> None:
    """A detail without end is cut."""
    assert str(failure(problem(502, detail))) == said


@pytest.mark.parametrize("detail", [7, "  "])
def test_a_problem_without_text_shows_its_status(detail: object) -> None:
    assert "answered 502 Bad Gateway" in str(failure(problem(502, detail)))


def test_a_proxy_in_p2p_mode_says_how_to_use_it() -> None:
    error = failure(reply(307, b"", Location="http://worker:1/predict", X_Worker="w1"))
    assert isinstance(error, UnexpectedAnswerError)
    assert "is a proxy in p2p mode, which has no answers itself: use p2p=True, or --p2p" in str(error)
