from __future__ import annotations

import json
from typing import Any

import pytest

from tfleet.client import FleetUnavailableError, UnexpectedAnswerError
from tfleet.client.http.transport import HttpResponse
from tfleet.client.routes.lookup import FoundWorker, LeasedWorkers, path, read_lease
from tfleet.contract.address import Address


def reply(document: Any, status: int = 200) -> HttpResponse:
    return HttpResponse("http://proxy:12480/worker", status, {}, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("unwanted", "asked"),
    [
        ((), "/worker?n=8"),
        (("w1",), "/worker?n=8&except=w1"),
        (("w1", "a&b c"), "/worker?n=8&except=w1&except=a%26b+c"),
    ],
)
def test_the_lookup_says_how_many_and_whom_to_exclude(unwanted: tuple[str, ...], asked: str) -> None:
    assert path(8, unwanted) == asked


def test_a_lease_gives_the_workers_and_its_expiry() -> None:
    one = {"id": "w1", "address": "10.0.0.1:80", "model": "m", "version": "2", "weight": 0.5, "x": 1}
    two = {"id": "w2", "address": "10.0.0.2:80"}
    assert read_lease(reply({"workers": [one, two], "expires_in_s": 5, "forwards": True})) == LeasedWorkers(
        (
            FoundWorker("w1", Address("10.0.0.1", 80), "m", "2", 0.5),
            FoundWorker("w2", Address("10.0.0.2", 80)),
        ),
        expires_in_s=5.0,
        forwards=True,
    )


def test_a_worker_that_names_itself_is_a_lease_of_one() -> None:
    assert read_lease(reply({"address": "[::1]:80"})) == LeasedWorkers(
        (FoundWorker("[::1]:80", Address("::1", 80)),)
    )


@pytest.mark.parametrize("number", [0, -1, float("nan"), None, "1", 7.0])
def test_an_invalid_weight_counts_as_one(number: Any) -> None:
    row = {"address": "10.0.0.1:80", "weight": number}
    assert read_lease(reply({"workers": [row]})).workers[0].weight == 1.0


@pytest.mark.parametrize(
    ("said", "expires_in_s"),
    [(10, 10.0), (0.5, 0.5), (0, 0.0), (-3, 0.0), (float("nan"), 0.0), (float("inf"), 3600.0), ("10", 0.0)],
)
def test_an_expiry_is_a_number_of_seconds_within_bounds(said: Any, expires_in_s: float) -> None:
    document = {"workers": [{"address": "10.0.0.1:80"}], "expires_in_s": said}
    assert read_lease(reply(document)).expires_in_s == expires_in_s


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"address": None},
        {"address": "nowhere"},
        {"address": 80},
        [],
        {"workers": []},
        {"workers": {"address": "10.0.0.1:80"}},
        {"workers": ["10.0.0.1:80"]},
        {"workers": [{"address": "10.0.0.1:80"}, {}]},
        {"workers": [{"address": "10.0.0.1:80"}, {"address": "nowhere"}]},
    ],
)
def test_an_answer_that_names_no_worker_is_not_tfleets(document: Any) -> None:
    with pytest.raises(UnexpectedAnswerError, match="http://proxy:12480/worker") as caught:
        read_lease(reply(document), request_id="r")
    assert caught.value.request_id == "r"


def test_without_a_worker_the_error_is_the_proxys() -> None:
    with pytest.raises(FleetUnavailableError, match="nobody is ready"):
        read_lease(reply({"status": 503, "detail": "nobody is ready"}, 503))
