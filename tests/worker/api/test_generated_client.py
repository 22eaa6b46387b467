"""A client that openapi-python-client makes from a worker's document asks it in all three protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.client_environments import called, required_client
from tests.support.fake_model import FakeModel
from tests.support.worker_http import serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Any:
    python = required_client(Path(__file__).with_name("openapi_client.txt"))
    with serving(FakeModel(), name="wine") as (worker, _):
        return called(python, "generated_client_calls.py", worker.url, str(tmp_path_factory.mktemp("client")))


def test_every_operation_has_a_function(said: Any) -> None:
    assert said["left_out"] == []


def test_predictions_come_as_objects_of_their_own(said: Any) -> None:
    kind = "Wine1ServingDefaultOutputs"
    assert said["row"] == said["query"] == [kind, {"success": True, "outputs": {"score": [1.5]}}]
    assert said["rows"] == [kind, {"success": True, "outputs": {"score": [[1.5], [2.0]]}}]
    assert said["instances"] == ["Wine1ServingDefaultV1Predictions", {"predictions": [[1.5]]}]
    kind, answer = said["infer"]
    assert kind == "Wine1V2Answer"
    assert answer["outputs"][0]["data"] == [1.5]


def test_pages_come_as_objects(said: Any) -> None:
    assert said["page"][0] == "ModelPage"
    assert said["page"][1]["signatures"]["double"]["inputs"] == {"x": {"dtype": "float64", "shape": []}}
    assert said["status"][1]["model_version_status"][0]["state"] == "AVAILABLE"


def test_errors_come_as_objects(said: Any) -> None:
    assert said["refused"][0] == "Problem"
    assert "G1 is below 0" in said["refused"][1]["detail"]
    assert said["plain"][0] == "PlainError"
    assert "lacks 'G2'" in said["plain"][1]["error"]
