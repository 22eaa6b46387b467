"""`--cors-origin`: what a web page from elsewhere may read of a worker."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from tests.support.browser_origins import ALLOW, EXPOSE, NOTHING, PREFLIGHT, A, B, C, headers_from
from tests.support.running_worker import MAX_BODY_BYTES, serving
from tfleet.contract.address import Address
from tfleet.contract.cors import Cors
from tfleet.worker.inference import Classifier
from tfleet.worker.rejection import Rejection

pytestmark = pytest.mark.process


CAT = Path("tests/data/cat.jpg").read_bytes()
LISTED = Cors.parse((A, B))


def ask(
    worker: Address,
    method: str,
    path: str,
    origin: str | None = A,
    body: bytes = b"",
    *,
    more: Mapping[str, str] = NOTHING,
) -> requests.Response:
    headers = headers_from(origin, more)
    if body:
        headers.setdefault("Content-Type", "image/jpeg")
    return requests.request(method, worker.url + path, data=body or None, headers=headers, timeout=30)


def test_an_image_and_its_errors_can_be_read(classifier: Classifier) -> None:
    with serving(classifier, cors=LISTED) as (worker, _):
        for body, path, status in (
            (CAT, "/", 200),
            (CAT, "/predict?topn=1", 400),
            (b"no image", "/", 400),
            (bytes(MAX_BODY_BYTES + 1), "/", 413),
        ):
            got = ask(worker, "POST", path, body=body)
            assert (got.status_code, got.headers[ALLOW], got.headers["Vary"]) == (status, A, "Origin")
            exposed = {
                "X-Request-Id",
                "X-Worker",
                "X-Model",
                "X-Batch-Size",
                "X-Queue-Length",
                "Server-Timing",
            }
            assert exposed <= set(got.headers[EXPOSE].split(", "))
            assert ask(worker, "POST", path, B, body).headers[ALLOW] == B
            for foreign in (C, None):
                got = ask(worker, "POST", path, foreign, body)
                assert (got.status_code, ALLOW in got.headers, got.headers["Vary"]) == (
                    status,
                    False,
                    "Origin",
                )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 503),
        ("GET", "/readyz", 503),
        ("GET", "/worker", 200),
        ("GET", "/x", 404),
        ("PUT", "/", 405),
    ],
)
def test_other_answers_have_cors_headers_too(method: str, path: str, status: int) -> None:
    with serving(None, cors=LISTED) as (worker, _), serving(None, cors=Cors.parse("*")) as (anybodys, _):
        got = ask(worker, method, path)
        assert (got.status_code, got.headers[ALLOW]) == (status, A)
        assert ask(anybodys, method, path, C).headers[ALLOW] == "*"


@pytest.mark.parametrize(
    ("rejection", "status"), [(Rejection.TICKET_MISSING, 401), (Rejection.QUEUE_REQUESTS, 429)]
)
def test_a_refused_browser_can_read_the_reason(
    classifier: Classifier, rejection: Rejection, status: int
) -> None:
    with serving(classifier, cors=LISTED, check_ticket=lambda *_: rejection) as (worker, _):
        got = ask(worker, "POST", "/", body=b"x")
        assert (got.status_code, got.headers[ALLOW]) == (status, A)
        assert {"WWW-Authenticate", "Retry-After"} <= set(got.headers[EXPOSE].split(", "))
        got = ask(worker, "OPTIONS", "/", more=PREFLIGHT)
        assert got.status_code == 204, "a browser's question is not an image, and has no ticket"


def test_a_preflight_is_answered() -> None:
    with serving(None, cors=LISTED) as (worker, _):
        got = ask(worker, "OPTIONS", "/predict", more=PREFLIGHT)
        assert (got.status_code, got.headers[ALLOW], got.headers["Vary"]) == (204, A, "Origin")
        assert "X-Ticket" in got.headers["Access-Control-Allow-Headers"]
        assert got.headers["Access-Control-Max-Age"]
        got = ask(worker, "OPTIONS", "/predict", None, more={**PREFLIGHT, "Origin": C})
        assert (got.status_code, ALLOW in got.headers) == (403, False)
        assert "--cors-origin" in got.json()["detail"]


def test_no_other_origin_may_drain_a_worker(classifier: Classifier) -> None:
    with serving(classifier, cors=Cors.parse("*")) as (worker, lifecycle):
        assert ALLOW not in ask(worker, "OPTIONS", "/drain", more=PREFLIGHT).headers
        got = ask(worker, "POST", "/drain")
        assert (got.status_code, ALLOW in got.headers) == (403, False)
        got = ask(worker, "POST", "/drain", body=bytes(MAX_BODY_BYTES + 1))
        assert (got.status_code, ALLOW in got.headers) == (413, False)
        assert repr(lifecycle) == "<Lifecycle ready>"


def test_cors_is_off_by_default() -> None:
    with serving(None) as (worker, _):
        for method in ("OPTIONS", "POST", "GET"):
            got = ask(worker, method, "/", more=PREFLIGHT if method == "OPTIONS" else NOTHING)
            assert not {ALLOW, "Vary"} & got.headers.keys()
