"""MLServer's own types and codecs judge what is answered below `/v2`, and Triton's messages the pages: at a
worker, and through a proxy.

See tests/support/mlserver_judge.py and tests/support/triton_messages.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.models.asked import loaded
from tests.support.client_environments import called, required_client
from tests.support.photos import PHOTOS
from tests.support.tensor_models import write_echo
from tests.support.worker_http import serving
from tests.worker.api.exchanges.ways import Way, ways_to
from tfleet.contract.address import Address

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

PHOTO = next(iter(PHOTOS.values()))
IMAGE_MODEL = "efficientnet-lite0"
OUTPUT = {"name": "y", "datatype": "FP32", "shape": [1], "data": [1.5]}
ANSWER = {"model_name": "m", "model_version": "1", "outputs": [OUTPUT]}
ERROR = {"error": "no", "detail": "no", "title": "Bad Request", "status": 400, "success": False}


@pytest.fixture(scope="module")
def python() -> Path:
    return required_client(Path(__file__).with_name("mlserver.txt"))


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Way]]:
    """To a worker whose model answers tensors of all datatypes as they came."""
    folder = write_echo(tmp_path_factory.mktemp("echo") / "echo")
    with loaded(folder) as model, ways_to(model, "echo") as found:
        yield found


@pytest.fixture(params=["worker", "proxy"])
def echo(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Address:
    return ways[request.param].address


def judged(python: Path, worker: Address, model: str, *what: str) -> Any:
    """What the judge has read of a worker's answers. It must not complain, and must have asked."""
    found = called(python, "mlserver_judge.py", str(worker), model, *what)
    assert found["complaints"] == []
    assert found["judged"] > 1
    return found["said"]


def test_pages_and_errors_are_valid(python: Path, echo: Address) -> None:
    judged(python, echo, "echo", "pages")


def test_tensors_of_all_datatypes_are_valid(python: Path, echo: Address) -> None:
    judged(python, echo, "echo", "echo")


def test_a_worker_that_loads_its_model_answers_validly(python: Path) -> None:
    with serving(None, name="echo") as (worker, _):
        judged(python, worker, "echo", "waiting")


def test_the_classes_of_an_image_are_valid(python: Path, worker: Address) -> None:
    judged(python, worker, IMAGE_MODEL, "pages")
    found = judged(python, worker, IMAGE_MODEL, "image", str(PHOTO))
    expected = requests.post(f"{worker.url}/predict?top=3", data=PHOTO.read_bytes(), timeout=60).json()
    labels = [each["label"] for each in expected["predictions"]]
    assert [text.split(":", 2)[2] for text in found] == labels


def test_configuration_and_statistics_are_messages_of_triton(python: Path, echo: Address) -> None:
    found = called(python, "triton_messages.py", str(echo), "echo")
    assert (found["name"], found["versions"], found["statistics"]) == ("echo", [1], ["echo"])
    assert found["inputs"]["float16"] == ["TYPE_FP16", 2]
    assert found["inputs"]["string"] == ["TYPE_STRING", 2]
    assert found["inputs"]["bfloat16"] == ["TYPE_BF16", 2]
    assert len(found["inputs"]) == 14


def test_the_judge_refuses_what_is_wrong(python: Path, tmp_path: Path) -> None:
    binary = {**OUTPUT, "data": None, "parameters": {"binary_data_size": 4}}
    without = {name: value for name, value in OUTPUT.items() if name != "data"}
    wrong: list[tuple[str, Any]] = [
        ("answer", {**ANSWER, "id": None}),
        ("answer", {**ANSWER, "model_version": 1}),
        ("answer", {**ANSWER, "version": "1"}),
        ("answer", {"outputs": [OUTPUT]}),
        ("answer", {**ANSWER, "outputs": [without]}),
        ("answer", {**ANSWER, "outputs": [binary]}),
        ("answer", {**ANSWER, "outputs": [{**OUTPUT, "datatype": "FLOAT"}]}),
        ("answer", {**ANSWER, "outputs": [{**OUTPUT, "shape": ["1"]}]}),
        ("answer", {**ANSWER, "outputs": [{**OUTPUT, "parameters": {"binary_data_size": 4}}]}),
        ("error", {**ERROR, "error": ""}),
        ("error", {name: value for name, value in ERROR.items() if name != "error"}),
        ("server", {"name": "tfleet", "version": "1"}),
        ("index", [{"name": "m", "version": "1", "state": "AVAILABLE", "reason": ""}]),
        ("model ready", {"name": "m", "ready": False}),
        ("not ready", {"ready": False, "error": "x", "detail": "x", "status": 200, "success": False}),
    ]
    right = [
        ("answer", ANSWER),
        ("answer", {**ANSWER, "outputs": [{**without, "parameters": {"binary_data_size": 4}}]}),
        ("error", ERROR),
    ]
    documents = tmp_path / "documents.json"
    documents.write_text(json.dumps([(kind, json.dumps(document)) for kind, document in wrong + right]))
    assert called(python, "mlserver_judge.py", "documents", str(documents)) == [False] * 15 + [True] * 3
