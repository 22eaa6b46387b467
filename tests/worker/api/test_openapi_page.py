"""`GET /openapi.json` of a worker: it is valid, has all routes, and every answer keeps to it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest
import requests
from flask import Flask

from tests.support.fake_model import FakeModel
from tests.support.openapi import OpenApiDocument
from tests.support.worker_http import MAX_BODY_BYTES, serving
from tests.worker.api.protocols.oip.bodies import binary, body, tensor
from tests.worker.api.protocols.signatures import info
from tfleet.contract.address import Address
from tfleet.contract.datatypes import DATATYPE_OF
from tfleet.contract.openapi.calls import PIXEL_PNG
from tfleet.contract.tfs_paths import read_tfs_path
from tfleet.discovery.instance import Instance
from tfleet.worker.address.addresses import WorkerAddresses
from tfleet.worker.api.app import WorkerIdentity, make_app
from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.inference.errors import OversizedRunError
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.model.signature import Signature
from tfleet.worker.rejection import Rejection

# A worker for each of many cases: the whole takes seconds.
pytestmark = pytest.mark.process

_UNDOCUMENTED: Final = {
    "/v1": "it answers that there is nothing",
    "/v1/": "it answers that there is nothing",
    "/<any(v1, V1):root>/<path:rest>": "other spellings of what is documented",
    "/v2/": "the same as /v2",
    "/v2/trace/setting": "it answers that there is no such extension",
    "/v2/models/<name>/trace/setting": "it answers that there is no such extension",
    "/v2/logging": "it answers that there is no such extension",
    **{
        f"/v2/{kind}sharedmemory{region}{what}": "it answers that there is no shared memory"
        for kind in ("system", "cuda")
        for region, whats in (
            ("", ("/status", "/unregister")),
            ("/region/<name>", ("/status", "/unregister", "/register")),
        )
        for what in whats
    },
}
"""The routes that the document leaves out, and why."""

ROW: Final = {"G1": 1, "G2": 5}
TENSORS: Final = [tensor("G1", "FP32", [1], [1]), tensor("G2", "FP32", [1], [5])]
DOUBLE: Final = [tensor("x", "FP64", [], [4])]


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def worker(model: FakeModel) -> Iterator[Address]:
    with serving(model, name="wine") as (address, _):
        yield address


@pytest.fixture
def document(worker: Address) -> OpenApiDocument:
    return OpenApiDocument.of(worker.url)


def application() -> Flask:
    """The worker's application; nothing is asked of it."""
    at = Address("127.0.0.1", 1)
    predictions: Any = SimpleNamespace(
        instance=Instance("w1", at, "wine", "1"),
        lifecycle=Lifecycle(),
        classify=None,
        predict=SimpleNamespace(runs=None),
        waiting=0,
        ranking=None,
        any=None,
        query=None,
        vector=None,
    )
    for name in ("ranking", "any", "query", "vector"):
        setattr(predictions, name, lambda: None)
    identity = WorkerIdentity(
        predictions.instance, WorkerAddresses(lambda: at, None, 1), predictions.lifecycle
    )
    return make_app(identity, predictions, WorkerMetrics(), lambda: None)


def test_the_document_is_valid(document: OpenApiDocument) -> None:
    document.check()
    assert document.content["info"]["title"] == "tfleet"


def test_the_document_has_the_routes_of_the_worker(document: OpenApiDocument) -> None:
    urls = application().url_map.bind("")
    routes = {
        (method, rule.rule)
        for rule in urls.map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in _UNDOCUMENTED and _is_route(method, rule.rule)
    }
    documented = set()
    for method, path in document.operations:
        rule, _ = urls.match(path, method, return_rule=True)
        documented.add((method, rule.rule))
    # An image is sent to `/` or `/embed`, and this model takes none. It parses no tf.Example either.
    examples = {(method, path) for method, path in routes if path.endswith((":classify", ":regress"))}
    assert len(examples) == 4
    vectors = {(method, path) for method, path in routes if path.endswith("/embed")}
    assert len(vectors) == 3
    assert documented == routes - {("POST", "/")} - examples - vectors


def _is_route(method: str, rule: str) -> bool:
    """Whether a rule stands for something with this method: below /v1 all rules take every method."""
    path = rule.replace("<name>", "wine").replace("<version>", "1")
    return not rule.startswith("/v1") or read_tfs_path(method, path) is not None


def test_documented_routes_are_there(worker: Address, document: OpenApiDocument) -> None:
    for method, path in document.operations - {("POST", "/drain")}:
        answer = requests.request(method, worker.url + path, timeout=20)
        assert answer.status_code not in (404, 405), (method, path, answer.text)
        assert "Malformed request" not in answer.text, (method, path)


ASKED: Final[dict[str, tuple[str, dict[str, Any], int]]] = {
    "a row": ("/predict", {"json": ROW}, 200),
    "rows": ("/models/wine/predict", {"json": [ROW, ROW]}, 200),
    "columns": ("/models/wine", {"json": {"G1": [1], "G2": [5]}}, 200),
    "tensors": ("/models/wine/signatures/double", {"json": {"x": 4}}, 200),
    "rows as CSV": ("/predict", {"data": "G1,G2\n1,5\n", "headers": {"Content-Type": "text/csv"}}, 200),
    "an answer as CSV": ("/predict", {"json": ROW, "headers": {"Accept": "text/csv"}}, 200),
    "an answer as .npz": ("/predict", {"json": ROW, "headers": {"Accept": "application/x-npz"}}, 200),
    "an unknown column": ("/predict", {"json": {"G3": 1}}, 400),
    "another form": ("/predict", {"json": ROW, "headers": {"Accept": "text/html"}}, 406),
    "a large body": ("/predict", {"data": b"x" * (MAX_BODY_BYTES + 1)}, 413),
    "TFS rows": ("/v1/models/wine:predict", {"json": {"instances": [ROW]}}, 200),
    "TFS columns": ("/v1/models/wine/versions/1:predict", {"json": {"inputs": {"G1": [1], "G2": [5]}}}, 200),
    "TFS tensors": ("/v1/models/wine:predict", {"json": {"signature_name": "double", "inputs": 4}}, 200),
    "TFS vectors": (
        "/v1/models/wine:predict",
        {"json": {"signature_name": "double", "instances": [4, 5]}},
        200,
    ),
    "a TFS body as gzip": (
        "/v1/models/wine:predict",
        {
            "data": gzip.compress(json.dumps({"instances": [ROW]}).encode()),
            "headers": {"Content-Encoding": "gzip"},
        },
        200,
    ),
    "no TFS rows": ("/v1/models/wine:predict", {"json": {"instances": []}}, 400),
    "OIP tensors": ("/v2/models/wine/infer", {"data": body(*TENSORS, id="7")}, 200),
    "OIP tensors of a version": ("/v2/models/wine/versions/1/infer", {"data": body(*TENSORS)}, 200),
    "a binary OIP answer": (
        "/v2/models/wine/infer",
        {"data": body(*TENSORS, parameters={"binary_data_output": True})},
        200,
    ),
    "a wrong OIP shape": ("/v2/models/wine/infer", {"data": body(tensor("G1", "FP32", [2], [1]))}, 400),
    "an empty OIP body": ("/v2/models/wine/infer", {"data": b""}, 400),
    "the index": ("/v2/repository/index", {"json": {"ready": True}}, 200),
    "a bad index": ("/v2/repository/index", {"data": b"["}, 400),
    "load": ("/v2/repository/models/wine/load", {}, 200),
    "unload": ("/v2/repository/models/wine/unload", {}, 400),
}


@pytest.mark.parametrize("named", ASKED)
def test_answers_keep_to_the_document(worker: Address, document: OpenApiDocument, named: str) -> None:
    path, sent, status = ASKED[named]
    answer = requests.post(worker.url + path, timeout=20, **sent)
    assert answer.status_code == status, answer.text
    document.check_answer("POST", path, answer)


def test_pages_keep_to_the_document(worker: Address, document: OpenApiDocument) -> None:
    pages = {path for method, path in document.operations if method == "GET" and "/predict" not in path}
    assert len(pages) > 20
    for path in pages:
        answer = requests.get(worker.url + path, headers={"Accept": "application/json"}, timeout=20)
        assert answer.status_code == 200, (path, answer.text)
        document.check_answer("GET", path, answer)


def test_a_row_in_the_query_keeps_to_the_document(worker: Address, document: OpenApiDocument) -> None:
    parameters = document.operation("GET", "/predict")["parameters"]
    names = [each["name"] for each in parameters if each.get("required")]
    assert names == ["G1", "G2"]
    for query, status in (({"G1": "1", "G2": "5"}, 200), ({"G1": "1"}, 400), ({"G1": "x", "G2": "5"}, 400)):
        answer = requests.get(f"{worker.url}/predict", params=query, timeout=20)
        assert answer.status_code == status
        document.check_answer("GET", "/predict", answer)


def test_binary_tensors_keep_to_the_document(worker: Address, document: OpenApiDocument) -> None:
    path = "/v2/models/wine/infer"
    content, length = binary("FP64", [], np.float64(4).tobytes())
    answer = requests.post(
        f"{worker.url}{path}?signature=double",
        data=content,
        headers={"Inference-Header-Content-Length": length},
        timeout=20,
    )
    assert answer.json()["outputs"][0]["data"] == [8.0]
    document.check_answer("POST", path, answer)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_words_for_numbers_keep_to_the_document(
    worker: Address, document: OpenApiDocument, model: FakeModel, value: float
) -> None:
    model.predictor.answer = lambda name, inputs: {"score": np.full((1, 1), value, np.float32)}
    for path, sent in (
        ("/predict", json.dumps(ROW)),
        ("/v1/models/wine:predict", json.dumps({"instances": [ROW]})),
        ("/v2/models/wine/infer", body(*TENSORS)),
    ):
        answer = requests.post(worker.url + path, data=sent, timeout=20)
        assert answer.status_code == 200, answer.text
        document.check_answer("POST", path, answer)


def test_failures_keep_to_the_document(worker: Address, document: OpenApiDocument, model: FakeModel) -> None:
    def too_large(name: str, inputs: Any) -> Any:
        raise OversizedRunError("the model needs more memory")

    def broken(name: str, inputs: Any) -> Any:
        raise RuntimeError

    for failing, status in ((too_large, 413), (broken, 500)):
        model.predictor.answer = failing
        for path, sent in (
            ("/predict", json.dumps(ROW)),
            ("/v1/models/wine:predict", json.dumps({"instances": [ROW]})),
            ("/v2/models/wine/infer", body(*TENSORS)),
        ):
            answer = requests.post(worker.url + path, data=sent, timeout=20)
            assert answer.status_code == status, answer.text
            document.check_answer("POST", path, answer)


def test_refusals_keep_to_the_document(document: OpenApiDocument) -> None:
    with serving(FakeModel(), name="wine", check_ticket=lambda *_: Rejection.TICKET_MISSING) as (worker, _):
        for method, path in document.operations:
            if method == "POST":
                answer = requests.post(worker.url + path, timeout=20)
                assert answer.status_code == 401, (path, answer.text)
                document.check_answer(method, path, answer)


def test_a_worker_that_drains_keeps_to_the_document(document: OpenApiDocument) -> None:
    with serving(FakeModel(), name="wine") as (worker, lifecycle):
        lifecycle.drain()
        for path in ("/readyz", "/v2/health/ready", "/v2/models/wine/ready", "/models/wine"):
            answer = requests.get(worker.url + path, timeout=20)
            assert answer.status_code == (200 if path == "/models/wine" else 503)
            document.check_answer("GET", path, answer)


def test_a_worker_that_starts_has_no_document_yet(document: OpenApiDocument) -> None:
    with serving(None, name="wine") as (worker, _):
        for path in ("/openapi.json", "/models/wine", "/v1/models/wine/metadata", "/v2/models/wine"):
            answer = requests.get(worker.url + path, timeout=20)
            assert answer.status_code == 503
            document.check_answer("GET", path, answer)


def test_every_example_is_answered(worker: Address, document: OpenApiDocument) -> None:
    seen = document.check_examples(worker.url)
    assert {"/predict", "/models/wine", "/v1/models/wine:predict", "/v2/models/wine/infer"} <= seen


SHAPES: Final = ((None,), (None, 1), (None, 2, 2), (None, None), (2,), (), None)


@pytest.mark.parametrize("dtype", [*DATATYPE_OF, "complex64"])
def test_examples_of_every_type_are_answered(dtype: str) -> None:
    signatures = {
        str(shape): Signature(str(shape), (info("x", dtype, shape),), (info("x", dtype, shape),))
        for shape in SHAPES
    }
    model = FakeModel(default=str(SHAPES[0]))
    model.session.signatures = signatures
    model.predictor.signatures = signatures
    model.predictor.answer = lambda name, inputs: inputs
    with serving(model, name="wine") as (worker, _):
        document = OpenApiDocument.of(worker.url)
        document.check()
        seen = document.check_examples(worker.url)
    expected = {"/v2/repository/index"}
    if dtype != "complex64":
        expected |= {"/predict", "/models/wine", "/v1/models/wine:predict", "/v2/models/wine/infer"}
    assert expected <= seen


@pytest.mark.parametrize("probabilities", [True, False])
def test_labels_keep_to_the_document(probabilities: bool) -> None:
    scores = ClassScores(("bad", "good"), "sigmoid", two_of_one=True, probabilities=probabilities)
    with serving(FakeModel(scores=scores), name="wine") as (worker, _):
        document = OpenApiDocument.of(worker.url)
        assert document.operation("POST", "/predict")["parameters"][0]["schema"]["maximum"] == 2
        for sent, top in ((ROW, 1), ([ROW, ROW], 2), (ROW, 3)):
            answer = requests.post(f"{worker.url}/predict?top={top}", json=sent, timeout=20)
            assert answer.status_code == (400 if top == 3 else 200)
            document.check_answer("POST", "/predict", answer)


def test_examples_keep_to_the_document() -> None:
    inputs = (info("inputs", "string", (None,)),)
    signatures = {
        "labels": Signature("labels", inputs, (info("classes", "string", (None, 2)),)),
        "values": Signature("values", inputs, (info("outputs", "float32", (None, 1)),)),
    }
    labels, values = np.array([[b"a", b"\xff"]], object), np.array([[0.5]], np.float32)
    model = FakeModel(default="values")
    model.session.signatures = model.predictor.signatures = signatures
    model.predictor.answer = lambda name, _: {"classes": labels} if name == "labels" else {"outputs": values}
    with serving(model, name="wine") as (worker, _):
        document = OpenApiDocument.of(worker.url)
        document.check()
        for path in ("/v1/models/wine", "/v1/models/wine/versions/1"):
            for action, sent, status in (
                ("classify", {"signature_name": "labels", "examples": [{"x": 1}]}, 200),
                ("regress", {"examples": [{"x": 1}]}, 200),
                ("classify", {"examples": [{"x": 1}]}, 400),
            ):
                answer = requests.post(f"{worker.url}{path}:{action}", json=sent, timeout=20)
                assert answer.status_code == status, answer.text
                document.check_answer("POST", f"{path}:{action}", answer)


def test_the_help_page_names_the_document(worker: Address) -> None:
    assert "GET /openapi.json" in requests.get(worker.url, timeout=20).text


def test_an_image_model_keeps_to_its_document(classifier: Any) -> None:
    from tests.support.running_worker import serving as serving_images  # noqa: PLC0415 - it loads TensorFlow

    with serving_images(classifier) as (worker, _):
        document = OpenApiDocument.of(worker.url)
        document.check()
        assert "/predict" in document.check_examples(worker.url)
        image = base64.b64decode(PIXEL_PNG)
        for path in ("/", "/predict", "/models/efficientnet-lite0"):
            for sent in ({"data": image}, {"files": {"data": image}}, {"data": image[:40]}):
                answer = requests.post(worker.url + path, timeout=60, **sent)
                document.check_answer("POST", path, answer)
