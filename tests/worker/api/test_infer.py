"""`POST /v2/models/NAME/infer` with a model that takes no images. No TensorFlow is needed for that."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.fake_model import FakeModel
from tests.support.worker_http import MAX_BODY_BYTES, serving
from tests.worker.api.protocols.oip.bodies import body, tensor
from tfleet.contract.address import Address
from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.inference.errors import OversizedRunError

HEADER = "Inference-Header-Content-Length"
G1, G2 = np.array([1, 2], np.float32), np.array([5, 0], np.float32)
JSON = body(tensor("G1", "FP32", [2], [1, 2]), tensor("G2", "FP32", [2], [5, 0]), id="7")
SCORE = {"name": "score", "datatype": "FP32", "shape": [2, 1], "data": [1.5, 2.0]}
ANSWER = {"model_name": "wine", "model_version": "1", "id": "7", "outputs": [SCORE]}
BINARY = {"parameters": {"binary_data_output": True}}


def with_binary(**others: Any) -> tuple[bytes, str]:
    sizes = [tensor(name, "FP32", [2], binary_data_size=8) for name in ("G1", "G2")]
    head = body(*sizes, **others)
    return head + G1.tobytes() + G2.tobytes(), str(len(head))


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


def outputs(answer: requests.Response) -> tuple[Any, bytes]:
    """The JSON part, and the binary one."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/octet-stream"
    length = int(answer.headers[HEADER])
    return json.loads(answer.content[:length]), answer.content[length:]


@pytest.mark.parametrize("path", ["/v2/models/wine/infer", "/v2/models/wi%6Ee/versions/1/infer"])
def test_json_is_answered_in_json(wine: Address, path: str) -> None:
    answer = ask(wine, path=path)
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert answer.headers["Content-Type"] == "application/json"
    assert HEADER not in answer.headers
    assert "infer;dur=" in answer.headers["Server-Timing"]


@pytest.mark.parametrize(
    "kind", ["", "application/json", "application/x-www-form-urlencoded", "text/plain", "!"]
)
def test_the_content_type_does_not_matter(wine: Address, kind: str) -> None:
    assert ask(wine, Content_Type=kind).json() == ANSWER


def test_binary_is_answered_in_binary(wine: Address) -> None:
    content, header = with_binary(**BINARY)
    head, tail = outputs(ask(wine, content, **{HEADER: header}))
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert np.frombuffer(tail, np.float32).tolist() == [1.5, 2.0]


def test_binary_may_be_answered_in_json(wine: Address) -> None:
    content, header = with_binary(id="7")
    assert ask(wine, content, **{HEADER: header}).json() == ANSWER


@pytest.mark.parametrize(("asked", "window"), [("gzip", 31), ("deflate", 15)])
def test_both_ways_may_be_compressed(wine: Address, asked: str, window: int) -> None:
    content, header = with_binary(**BINARY)
    packed = zlib.compress(content, wbits=window)
    sent = {HEADER: header, "Content-Encoding": asked, "Accept-Encoding": asked}
    answer = requests.post(
        f"{wine.url}/v2/models/wine/infer", data=packed, headers=sent, timeout=20, stream=True
    )
    assert answer.headers["Content-Encoding"] == asked
    plain = zlib.decompress(answer.raw.read(decode_content=False), wbits=window)
    length = int(answer.headers[HEADER])
    assert json.loads(plain[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert np.frombuffer(plain[length:], np.float32).tolist() == [1.5, 2.0]


def test_only_a_client_that_asks_for_one_coding_gets_it(wine: Address) -> None:
    answer = ask(wine, Accept_Encoding="gzip, deflate")
    assert "Content-Encoding" not in answer.headers
    assert ask(wine, Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"


def test_what_a_body_becomes_is_limited(wine: Address) -> None:
    error(ask(wine, gzip.compress(bytes(8 * MAX_BODY_BYTES + 1)), Content_Encoding="gzip"), 413)
    assert "br" in error(ask(wine, Content_Encoding="br"), 415)
    error(ask(wine, JSON, Content_Encoding="gzip"), 400)


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


def test_a_raw_body_is_the_one_input(wine: Address) -> None:
    answer = ask(wine, np.float64(4).tobytes(), "/v2/models/wine/infer?signature=double", **{HEADER: "0"})
    assert outputs(answer)[1] == np.float64(8).tobytes()
    assert "it has 2" in error(ask(wine, bytes(8), **{HEADER: "0"}), 400)


def test_an_output_is_asked_for_by_its_name(wine: Address, model: FakeModel) -> None:
    content = json.dumps({**json.loads(JSON), "outputs": [{"name": "scores"}]}).encode()
    assert "'scores': it has 'score'" in error(ask(wine, content), 400)
    assert model.predictor.calls == [], "the model did not run for it"


def test_labels_are_those_of_the_model() -> None:
    content = json.dumps(
        {**json.loads(JSON), "outputs": [{"name": "score", "parameters": {"classification": 1}}]}
    ).encode()
    for labels, text in ((("good",), "1.5:0:good"), (("0",), "1.5:0")):
        with serving(FakeModel(scores=ClassScores(labels)), name="wine") as (worker, _):
            assert ask(worker, content).json()["outputs"][0]["data"][0] == text


@pytest.mark.parametrize("path", ["/v2/models/beer/infer", "/v2/models/wine/versions/2/infer"])
def test_another_model_is_not_answered_by_this_one(wine: Address, path: str) -> None:
    assert "wine, version 1" in error(ask(wine, path=path), 404)


def test_an_unknown_signature_or_parameter_is_refused(wine: Address) -> None:
    assert "double" in error(ask(wine, path="/v2/models/wine/infer?signature=x"), 400)
    assert "'top'" in error(ask(wine, path="/v2/models/wine/infer?top=3"), 400)


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
