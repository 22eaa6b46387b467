"""Clients that others wrote, unchanged, given the address of a proxy: real models of several kinds."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.models.answers import read_golden
from tests.models.other_protocols import check_other_protocols
from tests.support.client_calls import check_calls_of_kserve, check_calls_of_triton
from tests.support.client_environments import called, required_client
from tests.support.fleet_processes import Fleet
from tests.support.photos import PHOTOS
from tests.support.tfleet_up import BEST, ROOT, Up, up
from tests.support.waiting import eventually_sync

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

IMAGES = "efficientnet-lite0"
_CONFIG = """
model_config_list {{
  config {{ name: "arithmetic" base_path: "{made}/arithmetic" model_platform: "tensorflow" }}
  config {{
    name: "product" base_path: "{made}/product" model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "old" value: 1 }}
  }}
  config {{ name: "ads" base_path: "{made}/ads" model_platform: "tensorflow" }}
  config {{ name: "words" base_path: "{golden}/words" model_platform: "tensorflow" }}
  config {{ name: "{images}" base_path: "{own}/{images}" model_platform: "tensorflow" }}
}}
"""
_PACKAGES = ROOT / "tests" / "worker" / "api"


@pytest.fixture(scope="module")
def fleet(golden_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("models")
    write = Fleet.forked_workers.write_model
    write(folder / "arithmetic" / "1", "tensor_models.write_arithmetic")
    write(folder / "ads" / "1", "tensor_models.write_examples_model")
    for version in ("1", "2"):
        write(folder / "product" / version, "tensor_models.write_version")
    config = folder / "models.config"
    own = ROOT / "worker" / "models"
    config.write_text(_CONFIG.format(made=folder, golden=golden_models, own=own, images=IMAGES))
    with up(workers=6, models=config) as running:
        yield running


@pytest.fixture(scope="module")
def triton() -> Path:
    return required_client(_PACKAGES / "tritonclient.txt")


@pytest.fixture(scope="module")
def said(fleet: Up, triton: Path) -> Any:
    return called(triton, "tritonclient_calls.py", str(fleet.proxy), "arithmetic")


def test_tritonclient_infers_through_the_proxy(said: Any) -> None:
    every = {"sum": [2.0, 5.0], "diff": [0.0, 0.0]}
    assert said["forms"] == [["7", every, {"sum": [2.0, 5.0]}]] * 18
    assert said["later"] == {"sum": [2.0, 5.0]}
    assert said["async"]["sums"] == [every] * 6
    assert said["bytes"] == said["async"]["bytes"] == {"id": "8", "sum": [2.0, 5.0]}
    assert said["datatypes"][0] == said["datatypes"][1]


def test_every_call_of_tritonclient_gets_an_answer(said: Any) -> None:
    for calls in (said["calls"], said["async"]["calls"]):
        check_calls_of_triton(calls, {"get_inference_statistics: all": ("400", "GET /v2/models/NAME/stats")})
        assert (
            "there is ads, arithmetic, efficientnet-lite0, product, words"
            in (calls["infer: another model"]["error"])
        )
        entries = [(each["name"], each["version"]) for each in calls["get_model_repository_index"]]
        assert entries == [
            ("ads", "1"),
            ("arithmetic", "1"),
            (IMAGES, "1"),
            ("product", "2"),
            ("product", "1"),
            ("words", "1"),
        ]
        assert {each["state"] for each in calls["get_model_repository_index"]} == {"READY"}


def test_every_call_of_kserves_client_gets_an_answer(fleet: Up) -> None:
    check_calls_of_kserve(
        called(required_client(_PACKAGES / "kserve.txt"), "kserve_calls.py", str(fleet.proxy))
    )


@pytest.mark.parametrize("photo", BEST)
def test_a_photo_is_classified_beside_tables(fleet: Up, triton: Path, photo: str) -> None:
    label, probability = BEST[photo]
    found = called(triton, "tritonclient_calls.py", str(fleet.proxy), "image", IMAGES, str(PHOTOS[photo]))
    value, index, name = found["classes"][0].split(":")
    assert name == label
    assert float(value) == pytest.approx(probability, abs=0.01)
    body = {"instances": [{"b64": b64encode(PHOTOS[photo].read_bytes()).decode()}]}
    answer = requests.post(f"{fleet.url}/v1/models/{IMAGES}:predict", json=body, timeout=30).json()
    (scores,) = answer["predictions"]
    assert scores.index(max(scores)) == int(index)
    assert max(scores) == pytest.approx(float(value), abs=1e-5)


def test_a_model_of_words_answers_as_keras_does(fleet: Up, golden_models: Path) -> None:
    golden = read_golden(golden_models / "words@serving_default.npz")
    check_other_protocols(fleet.url, "words", golden, rows=True)


def test_tensorflow_servings_documented_calls_work(fleet: Up) -> None:
    models = f"{fleet.url}/v1/models"
    names = ["ads", "arithmetic", IMAGES, "product", "words"]
    assert requests.get(models, timeout=10).json() == {"models": names}
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert requests.get(f"{models}/product", timeout=10).json() == {
        "model_version_status": [{"version": version, **available} for version in ("2", "1")],
        "ready": True,
    }
    # `tfleet up` writes the label when the version is ready, so the proxy knows it a moment later.
    label = f"{models}/product/labels/old"
    eventually_sync(lambda: requests.get(label, timeout=10), wanted=lambda answer: answer.ok)
    for path, factor in (("versions/1", 1.0), ("versions/2", 2.0), ("versions/02", 2.0), ("labels/old", 1.0)):
        for body, key in (
            ('{"instances": [1.0, 2.5]}', "predictions"),
            ('{"inputs": [1.0, 2.5]}', "outputs"),
        ):
            # As `curl -d` sends it: the type of the body says nothing.
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            url = f"{models}/product/{path}:predict"
            answer = requests.post(url, data=body, headers=headers, timeout=10)
            assert answer.json() == {key: [factor, 2.5 * factor]}
            assert answer.headers["X-Model"] == f"product/{factor:g}"
    page = requests.get(f"{models}/product/versions/1/metadata", timeout=10).json()
    assert page["model_spec"] == {"name": "product", "signature_name": "", "version": "1"}


def test_examples_are_classified_through_the_proxy(fleet: Up) -> None:
    body = """{"signature_name": "scores", "context": {"site": "\u00e9"},
               "examples": [{"age": [1, -2], "price": 2.5}, {"age": [1, 2], "price": -0.5, "site": "x"}]}"""
    url = f"{fleet.url}/v1/models/ads"
    answer = requests.post(f"{url}:classify", data=body.encode(), timeout=10)
    assert answer.json() == {"results": [[["\u00e9", 2.5], ["-1", -1.0]], [["x", -0.5], ["3", 3.0]]]}
    refused = requests.post(f"{url}/versions/1:regress", data=body.encode(), timeout=10)
    assert (refused.status_code, "'outputs'" in refused.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("x:predict", "{}", 404),
        ("product/versions/9:predict", "{}", 404),
        ("product/labels/x:predict", "{}", 400),
        ("product:predict", '{"instances": []}', 400),
        ("product:predict", '{"instances": [1], "signature_name": "x"}', 400),
        ("product:train", "{}", 400),
    ],
)
def test_errors_are_those_of_tensorflow_serving(fleet: Up, path: str, body: str, status: int) -> None:
    answer = requests.post(f"{fleet.url}/v1/models/{path}", data=body, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert answer.json()["error"]
