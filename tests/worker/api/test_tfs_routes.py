"""TensorFlow Serving's REST API at a worker: pages, states and failures; exchanges/ has what it answers."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.fake_model import FakeModel
from tests.support.worker_http import serving
from tfleet.contract.address import Address
from tfleet.worker.inference.batch_callers import OverdueError
from tfleet.worker.inference.errors import BadInputError, OversizedRunError
from tfleet.worker.wsgi.admission_queue import QueueLimits

ROWS = '{"instances": [{"G1": 1, "G2": 5}, {"G2": 0, "G1": 2}]}'
COLUMNS = '{"inputs": {"G1": [1, 2], "G2": [5, 0]}}'
PREDICT = "/v1/models/wine:predict"


def post(wine: Address, body: str | bytes, path: str = PREDICT, **headers: str) -> requests.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(wine.url + path, data=body, headers=sent, timeout=20)


def error(answer: requests.Response, status: int) -> str:
    """The text of an error as clients of TensorFlow Serving read it; all errors are JSON (serving#1600)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.json()
    assert document.keys() == {"error", "title", "status", "detail", "success"}
    assert (document["detail"], document["status"], document["success"]) == (document["error"], status, False)
    said: str = document["error"]
    return said


def test_rows_run_together_and_others_alone(wine: Address, model: FakeModel) -> None:
    assert post(wine, ROWS).json() == {"predictions": [[1.5], [2.0]]}
    assert post(wine, COLUMNS).json() == {"outputs": [[1.5], [2.0]]}
    assert post(wine, '{"signature_name": "double", "inputs": 4}').json() == {"outputs": 8.0}
    assert [call[:2] for call in model.predictor.calls] == [
        ("serving_default", 2),
        ("serving_default", 2),
        ("double", None),
    ]


def test_a_large_answer_is_compressed_for_a_client_that_asks(wine: Address) -> None:
    many = json.dumps({"instances": [{"G1": 1, "G2": 5}] * 400})
    for asked, coding in (("gzip", "gzip"), ("deflate", "deflate"), ("gzip, deflate", None)):
        answer = post(wine, many, Accept_Encoding=asked)
        assert answer.headers.get("Content-Encoding") == coding
        assert answer.json() == {"predictions": [[1.5]] * 400}
        assert (int(answer.headers["Content-Length"]) < 200) == (coding is not None)
    assert "Content-Encoding" not in post(wine, ROWS, Accept_Encoding="gzip").headers, "it is small"


def test_outputs_without_rows_need_columns(wine: Address, model: FakeModel) -> None:
    model.predictor.answer = lambda name, inputs: {"y": np.array(1, np.float32)}
    assert '{"inputs": ...}' in error(post(wine, ROWS), 400)
    assert post(wine, COLUMNS).json() == {"outputs": 1.0}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/models/beer:predict", 404, "wine, version 1"),
        ("/v1/models/wine/versions/2:predict", 404, "'wine, version 2'"),
        ("/v1/models/wine/labels/stable:predict", 400, "'stable'"),
        ("/v1/models/wine:explain", 400, "Malformed request: POST /v1/models/wine:explain"),
        ("/v1/models/wine", 400, "Malformed request: POST /v1/models/wine"),
        ("/v1/", 400, "Malformed request: POST /v1/"),
        ("/v1", 400, "Malformed request: POST /v1"),
        ("/v1//models/wine:predict", 400, "Malformed request: POST /v1//models/wine:predict"),
        ("/V1/x/y", 400, "Malformed request: POST /V1/x/y"),
    ],
)
def test_another_path_is_told_why(wine: Address, path: str, status: int, said: str) -> None:
    assert said in error(post(wine, ROWS, path), status)


def test_other_methods_are_told_which_there_are(wine: Address) -> None:
    answer = requests.delete(wine.url + PREDICT, timeout=20)
    assert "DELETE is not for" in error(answer, 405)
    assert answer.headers["Allow"] == "POST"
    assert "Malformed request: PUT /v1/x" in error(requests.put(wine.url + "/v1/x", timeout=20), 400)
    get = requests.get(wine.url + PREDICT, timeout=20)
    assert f"Malformed request: GET {PREDICT}" in error(get, 400)


def test_a_failing_run_has_the_right_status(wine: Address, model: FakeModel) -> None:
    def oversized(name: str, inputs: Any) -> Any:
        raise OversizedRunError("the model needs more memory")

    def rejected(name: str, inputs: Any) -> Any:
        raise BadInputError("the model rejects the input")

    def broken(name: str, inputs: Any) -> Any:
        raise RuntimeError

    def overdue(name: str, inputs: Any) -> Any:
        raise OverdueError

    for answer, status in ((oversized, 413), (rejected, 400), (broken, 500), (overdue, 504)):
        model.predictor.answer = answer
        error(post(wine, ROWS), status)
    error(post(wine, ROWS, X_Request_Timeout_Ms="0"), 400)


def test_a_starting_worker_says_so() -> None:
    with serving(None, name="wine") as (worker, _):
        answer = post(worker, ROWS)
        assert "loading its model" in error(answer, 503)
        assert answer.headers["Retry-After"] == "1"
        assert "loading" in error(requests.get(worker.url + "/v1/models/wine/metadata", timeout=20), 503)
        assert _status(worker) == ("LOADING", False)


def test_an_overloaded_worker_says_so(model: FakeModel) -> None:
    with serving(model, name="wine", threads=1, queue_limits=QueueLimits(max_requests=0)) as (worker, _):
        model.predictor.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, worker, ROWS)
            assert model.predictor.begun.wait(20)
            for path in (PREDICT, "/v1/models/beer:predict", "/v1/models/wine:explain"):
                assert "overloaded" in error(post(worker, ROWS, path), 429)
            model.predictor.gate.set()
            assert first.result().status_code == 200


def test_the_models_are_listed_as_by_kserve(wine: Address) -> None:
    assert requests.get(wine.url + "/v1/models", timeout=20).json() == {"models": ["wine"]}


@pytest.mark.parametrize("path", ["/models/wine", "/models/wine/versions/1", "/MODELS/wine/versions/01"])
def test_the_status_is_that_of_tensorflow_serving(wine: Address, path: str) -> None:
    answer = requests.get(f"{wine.url}/v1{path}", timeout=20)
    assert answer.json() == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ],
        "ready": True,
    }
    head = requests.head(f"{wine.url}/v1{path}", timeout=20)
    assert (head.status_code, head.content) == (200, b"")


def test_a_draining_worker_is_unloading(model: FakeModel) -> None:
    with serving(model, name="wine") as (worker, lifecycle):
        lifecycle.drain()
        assert _status(worker) == ("UNLOADING", False)
        assert post(worker, ROWS).status_code == 200, "it still answers what others send it"


def test_the_metadata_are_those_of_tensorflow_serving(wine: Address) -> None:
    answer = requests.get(wine.url + "/v1/models/wine/metadata", timeout=20).json()
    assert answer["model_spec"] == {"name": "wine", "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["double"] == {
        "inputs": {"x": _tensor("DT_DOUBLE", "x:0")},
        "outputs": {"y": _tensor("DT_DOUBLE", "y:0")},
        "method_name": "",
        "defaults": {},
    }
    assert signatures["serving_default"]["outputs"]["score"] == _tensor("DT_FLOAT", "score:0", "-1", "1")
    for path in ("/v1/models/beer", "/v1/models/beer/metadata", "/v1/models/wine/versions/7"):
        error(requests.get(wine.url + path, timeout=20), 404)


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_a_model_without_examples_is_told_to_predict(wine: Address, verb: str) -> None:
    answer = post(wine, '{"examples": [{"G1": 1}]}', f"/v1/models/wine:{verb}")
    assert ":predict" in error(answer, 400)


def _tensor(dtype: str, name: str, *sizes: str) -> dict[str, Any]:
    dims = [{"size": size, "name": ""} for size in sizes]
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": name}


def _status(wine: Address) -> tuple[str, bool]:
    page = requests.get(wine.url + "/v1/models/wine", timeout=20).json()
    return page["model_version_status"][0]["state"], page["ready"]
