"""Triton's own client, as pip installs it, against a worker: no call of it needs anything but the address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from tests.models.asked import loaded
from tests.support.client_calls import check_calls_of_triton
from tests.support.client_environments import called, required_client
from tests.support.photos import PHOTOS
from tests.support.tensor_models import write_arithmetic
from tests.support.worker_http import serving
from tfleet.contract.address import Address

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

PHOTO = next(iter(PHOTOS.values()))


@pytest.fixture(scope="module")
def python() -> Path:
    return required_client(Path(__file__).with_name("tritonclient.txt"))


@pytest.fixture(scope="module")
def said(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_arithmetic(tmp_path_factory.mktemp("arithmetic") / "arithmetic")
    with loaded(folder) as model, serving(model, name="arithmetic") as (address, _):
        return called(python, "tritonclient_calls.py", str(address), "arithmetic")


def test_sums_are_right_in_all_forms(said: Any) -> None:
    every = {"sum": [2.0, 5.0], "diff": [0.0, 0.0]}
    assert said["forms"] == [["7", every, {"sum": [2.0, 5.0]}]] * 18
    assert said["large"] == [True] * 3
    assert said["later"] == {"sum": [2.0, 5.0]}
    assert said["async"]["sums"] == [every] * 6
    assert said["bytes"] == said["async"]["bytes"] == {"id": "8", "sum": [2.0, 5.0]}


def test_all_datatypes_go_both_ways(said: Any) -> None:
    expected = {
        "half": [2.0, -4.0],
        "brain": [3.0, 4.0],
        "whole": [2**53 + 1],
        "flag": [False],
        "word": ["h\u00e9!"],
    }
    assert said["datatypes"] == [expected, expected]


def test_every_call_is_answered_or_says_why_not(said: Any) -> None:
    for calls in (said["calls"], said["async"]["calls"]):
        check_calls_of_triton(calls)
        assert calls["get_inference_statistics: all"] == calls["get_inference_statistics"]
        assert calls["get_model_repository_index"] == [
            {"name": "arithmetic", "version": "1", "state": "READY", "reason": ""}
        ]


def test_the_client_has_no_other_calls(said: Any) -> None:
    assert said["uncalled"] == said["async"]["uncalled"] == []


def test_runs_are_counted(said: Any) -> None:
    (statistics,) = said["calls"]["get_inference_statistics"]["model_stats"]
    assert statistics["inference_stats"]["success"]["count"] == 42


def test_a_photo_is_classified_as_anywhere_else(python: Path, worker: Address) -> None:
    name = "efficientnet-lite0"
    found = called(python, "tritonclient_calls.py", str(worker), "image", name, str(PHOTO))["classes"]
    expected = requests.post(f"{worker.url}/predict?top=3", data=PHOTO.read_bytes(), timeout=60).json()
    labels = [each["label"] for each in expected["predictions"]]
    assert [text.split(":", 2)[2] for text in found] == labels
