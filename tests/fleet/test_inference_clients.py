"""Clients that others wrote, unchanged, given the address of a proxy: two models, one with two versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.client_environments import called, required_client
from tests.support.fleet_processes import Fleet
from tests.support.tfleet_up import Up, up
from tests.support.waiting import eventually_sync

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

_CONFIG = """
model_config_list {{
  config {{ name: "arithmetic" base_path: "{folder}/arithmetic" model_platform: "tensorflow" }}
  config {{
    name: "product" base_path: "{folder}/product" model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "old" value: 1 }}
  }}
}}
"""
_PACKAGES = Path(__file__).parents[1] / "worker" / "api"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("models")
    write = Fleet.forked_workers.write_model
    write(folder / "arithmetic" / "1", "tensor_models.write_arithmetic")
    for version in ("1", "2"):
        write(folder / "product" / version, "tensor_models.write_version")
    config = folder / "models.config"
    config.write_text(_CONFIG.format(folder=folder))
    with up(workers=3, models=config) as running:
        yield running


@pytest.fixture(scope="module")
def triton(fleet: Up) -> Any:
    python = required_client(_PACKAGES / "tritonclient.txt")
    return called(python, "tritonclient_calls.py", str(fleet.proxy), "arithmetic")


@pytest.fixture(scope="module")
def kserve(fleet: Up) -> Any:
    python = required_client(_PACKAGES / "kserve.txt")
    return called(python, "kserve_calls.py", str(fleet.proxy))


def test_tritonclient_infers_through_the_proxy(triton: Any) -> None:
    every = {"sum": [2.0, 5.0], "diff": [0.0, 0.0]}
    assert triton["forms"] == [["7", every, {"sum": [2.0, 5.0]}]] * 18
    assert triton["later"] == {"sum": [2.0, 5.0]}
    assert triton["async"] == [every] * 6
    assert triton["datatypes"][0] == triton["datatypes"][1]


def test_tritonclient_reads_the_fleets_pages(triton: Any) -> None:
    pages = triton["pages"]
    assert (pages["live"], pages["ready"], pages["model ready"]) == (True, True, [True, False])
    assert pages["server"]["name"] == "tfleet"
    assert [each["name"] for each in pages["model"]["inputs"]] == ["a", "b"]
    assert pages["config"]["name"] == "arithmetic"
    assert pages["statistics"]["model_stats"][0]["name"] == "arithmetic"
    assert "GET /v2/models/NAME/stats" in pages["all statistics"]
    assert [(each["name"], each["version"], each["state"]) for each in pages["index"]] == [
        ("arithmetic", "1", "READY"),
        ("product", "2", "READY"),
        ("product", "1", "READY"),
    ]
    assert pages["shared memory"] == []


def test_tritonclient_reads_the_proxys_errors(triton: Any) -> None:
    status = {name: each[0] for name, each in triton["errors"].items()}
    assert status == {
        "another model": "404",
        "another version": "404",
        "a missing input": "400",
        "unload": "400",
        "load another": "404",
        "register memory": "400",
        "log settings": "404",
        "trace settings": "404",
    }
    assert "there is arithmetic, product" in triton["errors"]["another model"][1]
    assert "tfleet drain" in triton["errors"]["unload"][1]


def test_kserves_client_works_through_the_proxy(kserve: Any) -> None:
    assert (kserve["live"], kserve["ready"], kserve["model ready"]) == (True, True, [True, False])
    assert kserve["sums"] == [["42", [2.0, 5.0]]] * 12
    assert kserve["a missing input"][0] == 400
    status, text = kserve["another model"]
    assert (status, "there is arithmetic, product" in text) == (404, True)


def test_tensorflow_servings_documented_calls_work(fleet: Up) -> None:
    models = f"{fleet.url}/v1/models"
    assert requests.get(models, timeout=10).json() == {"models": ["arithmetic", "product"]}
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert requests.get(f"{models}/product", timeout=10).json() == {
        "model_version_status": [{"version": version, **available} for version in ("2", "1")]
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
