from __future__ import annotations

import json
from typing import Any

import pytest

from tfleet.client import FleetUnavailableError, UnexpectedAnswerError
from tfleet.client.lookup import FoundWorker, found_worker, path
from tfleet.client.reply import Reply
from tfleet.discovery.address import Address


def reply(document: Any, status: int = 200) -> Reply:
    return Reply("http://proxy:12480/worker", status, {}, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("avoided", "asked"),
    [((), "/worker"), (("w1",), "/worker?except=w1"), (("w1", "a&b c"), "/worker?except=w1&except=a%26b+c")],
)
def test_the_question_names_whom_it_does_not_want(avoided: tuple[str, ...], asked: str) -> None:
    assert path(avoided) == asked


def test_a_lookup_gives_the_worker_its_model_and_expiry() -> None:
    document = {"id": "w1", "address": "10.0.0.1:80", "model": "m", "version": "2", "expires_in_s": 5, "x": 1}
    assert found_worker(reply(document)) == FoundWorker("w1", Address("10.0.0.1", 80), "m", "2", 5.0)


def test_an_address_alone_is_enough() -> None:
    assert found_worker(reply({"address": "[::1]:80"})) == FoundWorker("[::1]:80", Address("::1", 80))


@pytest.mark.parametrize("document", [{}, {"address": None}, {"address": "nowhere"}, {"address": 80}, []])
def test_an_answer_that_names_no_worker_is_not_tfleets(document: Any) -> None:
    with pytest.raises(UnexpectedAnswerError, match="http://proxy:12480/worker") as caught:
        found_worker(reply(document), request_id="r")
    assert caught.value.request_id == "r"


def test_no_worker_is_what_the_proxy_says() -> None:
    with pytest.raises(FleetUnavailableError, match="nobody is ready"):
        found_worker(reply({"status": 503, "detail": "nobody is ready"}, 503))
