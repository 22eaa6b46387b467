"""What `POST /v2/models/NAME/infer` does with a model and a deadline; exchanges/ has its answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import requests

from tests.support.fake_model import FakeModel
from tests.support.worker_http import serving
from tests.worker.api.protocols.oip.bodies import body, tensor
from tfleet.contract.address import Address
from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.inference.errors import OversizedRunError

JSON = body(tensor("G1", "FP32", [2], [1, 2]), tensor("G2", "FP32", [2], [5, 0]), id="7")


def ask(
    wine: Address, content: bytes = JSON, path: str = "/v2/models/wine/infer", **headers: str
) -> requests.Response:
    sent = {"Accept-Encoding": "", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return requests.post(wine.url + path, data=content, headers=sent, timeout=20)


def error(answer: requests.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    said = answer.json()
    assert said["error"] == said["detail"]
    assert (said["status"], said["success"]) == (status, False)
    text: str = said["error"]
    return text


def test_a_large_answer_is_compressed_for_a_client_that_asks(wine: Address) -> None:
    many = body(tensor("G1", "FP32", [400], [1] * 400), tensor("G2", "FP32", [400], [5] * 400))
    for asked, coding in (("gzip", "gzip"), ("deflate", "deflate"), ("gzip, deflate", None), ("br", None)):
        answer = ask(wine, many, Accept_Encoding=asked)
        assert answer.headers.get("Content-Encoding") == coding
        assert answer.json()["outputs"][0]["data"] == [1.5] * 400
        assert (int(answer.headers["Content-Length"]) < 300) == (coding is not None)
        assert "Content-Encoding" not in ask(wine, Accept_Encoding=asked).headers, "it is small"


def test_rows_run_together_and_others_alone(wine: Address, model: FakeModel) -> None:
    ask(wine)
    two_sizes = body(tensor("G1", "FP32", [2], [1, 2]), tensor("G2", "FP32", [1], [5]))
    ask(wine, two_sizes)
    scalar = body(tensor("x", "FP64", [], [4.0]))
    assert ask(wine, scalar, "/v2/models/wine/infer?signature=double").json()["outputs"][0]["data"] == [8.0]
    assert [call[:2] for call in model.predictor.calls] == [
        ("serving_default", 2),
        ("serving_default", None),
        ("double", None),
    ]


def test_an_output_is_asked_for_by_its_name(wine: Address, model: FakeModel) -> None:
    content = json.dumps({**json.loads(JSON), "outputs": [{"name": "scores"}]}).encode()
    assert "'scores': it has 'score'" in error(ask(wine, content), 400)
    assert model.predictor.calls == [], "the model did not run for it"


def test_of_the_query_only_the_signature_is_read(wine: Address) -> None:
    # As Triton: tritonclient sends what it gets as query_params.
    assert ask(wine, path="/v2/models/wine/infer?a=1&top=3").json()["id"] == "7"
    assert "'x'" in error(ask(wine, path="/v2/models/wine/infer?a=1&signature=x"), 400)


def test_a_model_without_a_default_says_where_to_name_one() -> None:
    with serving(FakeModel(default=None), name="wine") as (worker, _):
        said = "double in ?signature=NAME"
        assert said in error(ask(worker), 400)
        for path in ("", "/config"):
            page = requests.get(f"{worker.url}/v2/models/wine{path}", timeout=20)
            assert said in error(page, 400)
        rows = requests.post(f"{worker.url}/v1/models/wine:predict", json={"instances": [1]}, timeout=20)
        assert "double in 'signature_name'" in error(rows, 400)


def test_classes_are_those_of_each_row(model: FakeModel) -> None:
    model.predictor.answer = lambda name, inputs: {"score": np.array([3, 9], np.float32)}
    outputs = [{"name": "score", "parameters": {"classification": 2}}]
    content = json.dumps({**json.loads(JSON), "outputs": outputs}).encode()
    with serving(model, name="wine") as (worker, _):
        (found,) = ask(worker, content).json()["outputs"]
    assert (found["shape"], found["data"]) == ([2, 1], ["3.0:0", "9.0:0"])


def test_labels_are_those_of_the_model() -> None:
    content = json.dumps(
        {**json.loads(JSON), "outputs": [{"name": "score", "parameters": {"classification": 1}}]}
    ).encode()
    for labels, text in ((("good",), "1.5:0:good"), (("0",), "1.5:0")):
        with serving(FakeModel(scores=ClassScores(labels)), name="wine") as (worker, _):
            assert ask(worker, content).json()["outputs"][0]["data"][0] == text


def test_what_the_model_rejects_is_a_400_and_no_memory_a_413(wine: Address, model: FakeModel) -> None:
    negative = body(tensor("G1", "FP32", [1], [-1]), tensor("G2", "FP32", [1], [0]))
    assert "G1 is below 0" in error(ask(wine, negative), 400)

    def fail(signature: str, inputs: Any) -> Any:
        raise OversizedRunError("the model needs more memory")

    model.predictor.answer = fail
    assert error(ask(wine), 413) == "the model needs more memory"


def test_a_deadline_holds(wine: Address, model: FakeModel) -> None:
    assert "milliseconds" in error(ask(wine, X_Request_Timeout_Ms="soon"), 400)
    ask(wine, X_Request_Timeout_Ms="60000")
    assert model.predictor.calls[0][2] < float("inf")


def test_a_worker_without_a_model_says_so() -> None:
    with serving(None, name="wine") as (worker, _):
        answer = ask(worker)
        assert "loading" in error(answer, 503)
        assert answer.headers["Retry-After"] == "1"


def test_a_wrong_method_says_which_is_right(wine: Address) -> None:
    answer = requests.get(f"{wine.url}/v2/models/wine/infer", timeout=20)
    assert "POST" in error(answer, 405)
