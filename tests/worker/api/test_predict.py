"""The routes of predictions with a model that takes no images. No TensorFlow is needed for that."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import requests

from tests.support.bodies import arrow, npy, npz
from tests.support.fake_model import TABLE, FakeModel
from tests.support.worker_http import serving
from tfleet.contract.address import Address
from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.inference.errors import OversizedRunError
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import QueueLimits

JSON = {"Content-Type": "application/json"}
ARROW = "application/vnd.apache.arrow.stream"
ROW = b'{"G1": 1, "G2": 5}'
LABELS = ClassScores(("bad", "good"), "sigmoid", two_of_one=True)


def ask(wine: Address, path: str, body: bytes | None = None, **headers: str) -> requests.Response:
    method = "GET" if body is None else "POST"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, wine.url + path, data=body, headers=sent, timeout=20)


def detail(answer: requests.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    said: str = answer.json()["detail"]
    return said


FORMS = {
    "application/json": b'[{"G1": 1, "G2": 5}, {"G2": 0, "G1": 2}]',
    "text/csv": b"G2,G1\n5,1\n0,2\n",
    ARROW: arrow({"G1": [1.0, 2.0], "G2": [5.0, 0.0]}),
    "application/x-npz": npz({"G1": np.array([1, 2], np.float32), "G2": np.array([5, 0], np.float32)}),
}


@pytest.mark.parametrize("path", ["/predict", "/models/wine", "/models/wine/versions/1/predict"])
def test_one_row_is_answered_without_a_dimension_of_rows(wine: Address, path: str) -> None:
    answer = ask(wine, path, ROW, **JSON)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "outputs": {"score": [1.5]}})
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("form", FORMS)
def test_rows_come_in_every_form(wine: Address, form: str) -> None:
    answer = ask(wine, "/predict", FORMS[form], Content_Type=form)
    assert answer.json() == {"success": True, "outputs": {"score": [[1.5], [2.0]]}}


def test_the_answer_is_in_the_form_that_accept_asks_for(wine: Address) -> None:
    answer = ask(wine, "/predict", FORMS[ARROW], Content_Type=ARROW, Accept=ARROW)
    assert answer.headers["Content-Type"] == ARROW
    with pa.ipc.open_stream(answer.content) as reader:
        assert reader.read_all().to_pydict() == {"score": [[1.5], [2.0]]}
    answer = ask(wine, "/predict", FORMS["text/csv"], Content_Type="text/csv", Accept="application/x-npy")
    assert np.load(io.BytesIO(answer.content)).tolist() == [[1.5], [2.0]]
    assert "application/json" in detail(ask(wine, "/predict", ROW, Accept="text/html", **JSON), 406)


@pytest.mark.parametrize("path", ["/predict", "/models/wine/predict", "/models/wi%6Ee/versions/1/predict"])
def test_a_row_may_come_in_the_query(wine: Address, path: str) -> None:
    assert ask(wine, f"{path}?G2=5&G1=1").json() == {"success": True, "outputs": {"score": [1.5]}}


def test_head_answers_what_get_would_without_its_body(wine: Address) -> None:
    answer = requests.head(f"{wine.url}/predict?G2=5&G1=1", timeout=20)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["/predict?signature=double", "/models/wine/signatures/double", "/models/wine/signatures/double/predict"],
)
def test_another_signature_is_named_in_path_or_query(wine: Address, model: FakeModel, path: str) -> None:
    answer = ask(wine, path, b'{"x": 4}', **JSON)
    assert answer.json() == {"success": True, "outputs": {"y": 8.0}}
    assert model.predictor.calls[0][:2] == ("double", None), "it has no rows, so it runs alone"


def test_an_unknown_signature_is_told_with_those_there_are(wine: Address) -> None:
    assert "double" in detail(ask(wine, "/predict?signature=x", ROW, **JSON), 400)
    assert "double" in detail(ask(wine, "/models/wine/signatures/x/predict", ROW, **JSON), 404)
    path = "/models/wine/signatures/double/predict?signature=serving_default"
    assert "signature" in detail(ask(wine, path, ROW, **JSON), 400)


def test_a_run_without_memory_is_a_413(wine: Address, model: FakeModel) -> None:
    def fail(signature: str, inputs: Any) -> Any:
        raise OversizedRunError("the model needs more memory")

    model.predictor.answer = fail
    assert detail(ask(wine, "/predict", ROW, **JSON), 413) == "the model needs more memory"


def test_a_model_without_a_default_wants_a_signature() -> None:
    with serving(FakeModel(default=None), name="wine") as (worker, _):
        assert "double" in detail(ask(worker, "/predict", ROW, **JSON), 400)
        assert ask(worker, "/predict?signature=double", b'{"x": 4}', **JSON).status_code == 200
        assert "signature=" in ask(worker, "/models/wine").json()["example"]


@pytest.mark.parametrize(
    "path", ["/models/beer", "/models/wine/versions/2", "/models/beer/predict", "/models/%2e%2e/predict"]
)
@pytest.mark.parametrize("body", [None, ROW])
def test_another_model_is_not_answered_by_this_one(wine: Address, path: str, body: bytes | None) -> None:
    assert "wine, version 1" in detail(ask(wine, path, body, **JSON), 404)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/predict?G1=1", "G2"),
        ("/predict?G1=1&G2=0&G3=0", "G3"),
        ("/predict?G1=1&G2=x", "'x' is no float32"),
        ("/predict?G1=1&G2=", "empty"),
        ("/predict?G1=1&G2=0&G2=1", "twice"),
        ("/predict?G1=1&G2=0&top=1", "top"),
        ("/predict?G1=-1&G2=0", "below 0"),
        ("/predict?G1=1&G2=%FF", "not UTF-8"),
        ("/predict?G1=1&%C3=2", "not UTF-8"),
        ("/predict?G1=1&G2=2&%C3%A4=2", "ä"),
    ],
)
def test_a_bad_query_is_a_400_that_says_why(wine: Address, path: str, said: str) -> None:
    assert said in detail(ask(wine, path), 400)


@pytest.mark.parametrize("scores", [None, LABELS], ids=["outputs", "labels"])
@pytest.mark.parametrize("query", ["top=1&signature=2&ticket=3", "top=7", "signature=2", "ticket=3&top=9"])
def test_columns_called_as_parameters_are_told(query: str, scores: Any) -> None:
    names = ("top", "signature", "ticket")
    inputs = tuple(TensorInfo(name, f"{name}:0", "float32", (None,)) for name in names)
    odd = FakeModel(scores=scores)
    odd.session.signatures = {"serving_default": Signature("serving_default", inputs, TABLE.outputs)}
    with serving(odd, name="odd") as (worker, _):
        said = detail(ask(worker, f"/models/odd/predict?{query}"), 400)
        assert "columns called signature, ticket or top are taken in bodies only" in said
        other = ask(worker, "/predict?signature=2", b'{"top": 1, "signature": 2, "ticket": 3}', **JSON)
        assert "no signature '2'" in detail(other, 400)


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b'{"G1": 1}', "application/json", 400, "G2"),
        (b'{"G1": 1, "G2": null}', "application/json", 400, "null"),
        (b"", "application/json", 400, "no body"),
        (b"G1,G2\n1,2\n", "text/html", 415, "text/csv"),
        (b'{"G1": -1, "G2": 0}', "application/json", 400, "below 0"),
        (npy(np.zeros(2, np.float32)), "application/x-npy", 400, "2 inputs"),
    ],
)
def test_a_bad_body_is_told_in_one_line(
    wine: Address, body: bytes, kind: str, status: int, said: str
) -> None:
    assert said in detail(ask(wine, "/predict", body, Content_Type=kind), status)


def test_a_compressed_body_is_refused(wine: Address) -> None:
    answer = ask(wine, "/predict", ROW, Content_Encoding="gzip", **JSON)
    assert "Content-Encoding" in detail(answer, 415)


def test_unknown_parameters_of_a_post_are_refused(wine: Address) -> None:
    assert "'G1'" in detail(ask(wine, "/predict?G1=1", ROW, **JSON), 400)
    assert "?top=" in detail(ask(wine, "/predict?top=1", ROW, **JSON), 400)
    assert ask(wine, "/predict?ticket=x", ROW, **JSON).status_code == 200


def test_an_image_for_a_model_without_images_is_a_415(wine: Address) -> None:
    answer = requests.post(wine.url, files={"data": b"\xff\xd8\xff"}, timeout=20)
    said = detail(answer, 415)
    assert "takes no images" in said
    assert "/models/wine" in said


def test_the_answer_has_the_headers_of_an_image_s(wine: Address) -> None:
    headers = ask(wine, "/predict?G1=1&G2=0").headers
    assert headers["Server-Timing"].startswith("decode;dur=")
    assert (headers["X-Worker"], headers["X-Model"], headers["X-Batch-Size"]) == ("w1", "wine/1", "2")


@pytest.mark.parametrize("body", [None, ROW])
def test_a_full_queue_rejects_a_row(model: FakeModel, body: bytes | None) -> None:
    model.predictor.gate.clear()
    limits = QueueLimits(max_requests=0)
    with serving(model, threads=1, queue_limits=limits) as (worker, _), ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, worker, "/predict?G1=1&G2=0")
        assert model.predictor.begun.wait(20)
        assert "--max-queue" in detail(ask(worker, "/predict?G1=1&G2=0", body, **JSON), 429)
        model.predictor.gate.set()
        assert held.result().status_code == 200


@pytest.mark.parametrize("body", [None, ROW])
def test_a_starting_and_a_draining_worker_refuse_a_row(model: FakeModel, body: bytes | None) -> None:
    with serving(None) as (worker, _):
        assert "loading" in detail(ask(worker, "/predict?G1=1&G2=0", body, **JSON), 503)
        assert "loading" in detail(ask(worker, "/models/efficientnet-lite0"), 503)
        assert ask(worker, "/models").json()["models"][0]["state"] == "starting"
    with serving(model) as (worker, lifecycle):
        lifecycle.drain()
        lifecycle.refuse()
        assert "another one" in detail(ask(worker, "/predict?G1=1&G2=0", body, **JSON), 503)


@pytest.mark.parametrize("body", [None, ROW])
def test_a_row_needs_a_ticket_and_its_own_worker(model: FakeModel, body: bytes | None) -> None:
    def closed(header: str | None, query: str) -> Rejection | None:
        return None if header == "sesame" else Rejection.TICKET_MISSING

    with serving(model, check_ticket=closed) as (worker, _):
        assert "ticket" in detail(ask(worker, "/predict?G1=1&G2=0", body, **JSON), 401)
        assert "X-Worker" in detail(ask(worker, "/predict?G1=1&G2=0", body, X_Worker="w2", **JSON), 421)
    assert model.predictor.calls == []


def test_a_deadline_goes_to_the_predictor(wine: Address, model: FakeModel) -> None:
    ask(wine, "/predict?G1=1&G2=0", X_Request_Timeout_Ms="60000")
    assert model.predictor.calls[0][2] < float("inf")


def test_the_page_of_a_model_shows_how_it_is_asked(wine: Address) -> None:
    page = ask(wine, "/models/wine").json()
    assert (page["name"], page["version"], page["kind"], page["stateful"]) == ("wine", "1", "table", False)
    assert page["signatures"]["serving_default"]["inputs"] == {
        "G1": {"dtype": "float32", "shape": [None]},
        "G2": {"dtype": "float32", "shape": [None]},
    }
    assert page["signatures"]["double"]["outputs"] == {"y": {"dtype": "float64", "shape": []}}
    assert str(wine) in page["example"]
    assert page["signatures"]["serving_default"]["example"] == page["example"]
    assert ask(wine, "/models/wine/signatures/double").json() == page["signatures"]["double"]
    assert ask(wine, "/models").json() == {
        "models": [{"name": "wine", "version": "1", "state": "ready", "kind": "table"}]
    }


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"X-Forwarded-Host": "fleet.example:12480"}, "fleet.example:12480/predict"),
        ({"X-Forwarded-Host": "a", "X-Forwarded-Proto": "https"}, "https://a/predict"),
        ({"X-Forwarded-Host": "$(reboot)", "Host": "w:1"}, "w:1/predict"),
        ({"X-Forwarded-Host": "a b", "Host": "a'b"}, "127.0.0.1"),
    ],
)
def test_the_line_to_paste_has_the_address_that_was_asked(
    wine: Address, headers: dict[str, str], address: str
) -> None:
    page = requests.get(f"{wine.url}/models/wine", headers=headers, timeout=20).json()
    assert address in page["example"]
    assert "reboot" not in page["example"]


def test_the_help_text_shows_a_line_for_this_model(wine: Address) -> None:
    said = ask(wine, "/").text
    assert "/predict" in said
    assert "cat.jpg" not in said


def test_paths_below_models_are_counted_by_their_form(wine: Address) -> None:
    for name in ("wine", "x1", "x2"):
        ask(wine, f"/models/{name}/predict?G1=1&G2=0")
    page = ask(wine, "/metrics").text
    counted = [line for line in page.splitlines() if line.startswith("tfleet_worker_requests_total{")]
    assert len(counted) == 2, counted
    assert json.dumps("/models/<name>/predict") in counted[0]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"G1": 1, "G2": 0}', ["good", "bad"]),
        (b'[{"G1": 1, "G2": 0}, {"G1": 0, "G2": 0}]', [["good", "bad"], ["bad", "good"]]),
    ],
)
def test_a_model_with_labels_answers_them_row_by_row(body: bytes, wanted: Any) -> None:
    with serving(FakeModel(scores=LABELS), name="wine") as (worker, _):
        document = ask(worker, "/predict", body, **JSON).json()
        found = document["predictions"]
        assert document["success"] is True
        rows = found if isinstance(found[0], list) else [found]
        assert [[entry["label"] for entry in row] for row in rows] == (
            wanted if isinstance(wanted[0], list) else [wanted]
        )
        assert rows[0][0] == {"label": "good", "probability": 0.731059}
        first = ask(worker, "/predict?top=1&G1=1&G2=0").json()["predictions"]
        assert [entry["label"] for entry in first] == ["good"]
        assert "1 to 2" in detail(ask(worker, "/predict?top=3", body, **JSON), 400)


def test_too_many_labels_are_refused_before_the_run() -> None:
    scores = ClassScores(tuple(f"class {number}" for number in range(40)))
    fake = FakeModel(scores=scores)
    column = np.ones(65_536, np.float32)
    with serving(fake, name="wine") as (worker, _):
        answer = ask(
            worker, "/predict?top=33", arrow({"G1": column, "G2": column}), **{"Content-Type": ARROW}
        )
        assert "33 labels for each of 65536 rows" in detail(answer, 413)
    assert not fake.predictor.calls


def test_other_forms_of_an_answer_have_the_outputs() -> None:
    with serving(FakeModel(scores=LABELS), name="wine") as (worker, _):
        answer = ask(worker, "/predict", ROW, Accept="application/x-npy", **JSON)
        assert np.load(io.BytesIO(answer.content)).tolist() == [1.5]
        answer = ask(worker, "/predict?top=1", ROW, Accept="application/x-npy", **JSON)
        assert "?top=" in detail(answer, 400)
        other = ask(worker, "/predict?signature=double", b'{"x": 4}', **JSON)
        assert other.json()["outputs"] == {"y": 8.0}


def test_what_is_no_probability_is_called_a_score() -> None:
    scores = ClassScores(("only",), probabilities=False)
    with serving(FakeModel(scores=scores), name="wine") as (worker, _):
        document = ask(worker, "/predict", b'{"G1": 0, "G2": 1}', **JSON).json()
        assert document["predictions"] == [{"label": "only", "score": 0.1}]


def test_an_image_model_s_other_signatures_take_tensors(model: FakeModel) -> None:
    model.classifier = SimpleNamespace(labels=("cat",))
    with serving(model, name="wine") as (worker, _):
        assert ask(worker, "/predict?signature=double&x=4").json()["outputs"] == {"y": 8.0}
        named = ask(worker, "/models/wine/signatures/double", b'{"x": 4}', **JSON)
        assert named.json()["outputs"] == {"y": 8.0}
        assert "image" in detail(ask(worker, "/predict", ROW, **JSON), 400)
        answer = ask(worker, "/predict?G1=1&G2=0")
        assert "POST /predict" in detail(answer, 405)
        assert answer.headers["Allow"] == "POST"
