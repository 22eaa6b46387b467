"""`POST /embed`: an image's vector in every form, in the same queue as classifications."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import requests

from tests.support.fake_model import FakeModel
from tests.support.openapi import OpenApiDocument
from tests.support.running_worker import serving
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.model.embedding import Embedding

pytestmark = pytest.mark.process

CAT = Path("tests/data/cat.jpg").read_bytes()


def embed(worker: Address, path: str = "/embed", accept: str = "", **options: Any) -> requests.Response:
    options = options or {"files": {"data": CAT}}
    return requests.post(worker.url + path, headers={"Accept": accept or "*/*"}, timeout=30, **options)


def problem(answer: requests.Response, status: int) -> str:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    return str(answer.json()["detail"])


@pytest.fixture(scope="session")
def vector(classifier: Classifier) -> Any:
    """The cat's vector, by the classifier itself."""
    return classifier.embed([classifier.prepare(CAT, ImageLimits())])[0]


@pytest.mark.parametrize("model", ["", "/models/efficientnet-lite0", "/models/efficientnet-lite0/versions/1"])
def test_an_image_gets_its_vector(worker: Address, classifier: Classifier, vector: Any, model: str) -> None:
    answer = embed(worker, f"{model}/embed")
    document = answer.json()
    assert document == {"success": True, "outputs": {"embedding": document["outputs"]["embedding"]}}
    assert np.array_equal(np.array(document["outputs"]["embedding"], np.float32), vector)
    assert classifier.embedding is not None
    assert answer.headers["X-Embedding"] == classifier.embedding.space
    assert answer.headers["X-Model"] == "efficientnet-lite0/1"
    assert (answer.headers["X-Batch-Size"], answer.headers["X-Worker"]) == ("1", "w1")
    assert "infer;dur=" in answer.headers["Server-Timing"]
    OpenApiDocument.of(worker.url).check_answer("POST", f"{model}/embed", answer)


def test_a_vector_comes_in_the_form_that_is_asked_for(worker: Address, vector: Any) -> None:
    npy = np.load(io.BytesIO(embed(worker, accept="application/x-npy").content))
    npz = np.load(io.BytesIO(embed(worker, accept="application/x-npz").content))["embedding"]
    arrow = embed(worker, accept="application/vnd.apache.arrow.stream").content
    (row,) = pa.ipc.open_stream(arrow).read_all().to_pylist()
    csv = embed(worker, accept="text/csv").text.splitlines()
    assert csv[0].startswith("embedding[0],embedding[1],")
    texts = (np.array(row["embedding"], np.float32), np.array(csv[1].split(","), np.float32))
    for found in (npy, npz, *texts):
        assert (found.shape, str(found.dtype)) == ((1280,), "float32")
        assert np.array_equal(found, vector)
    assert "in Accept" in problem(embed(worker, accept="text/html"), 406)


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"image": CAT}},
        {"data": CAT},
        {"json": {"image": {"b64": base64.b64encode(CAT).decode()}}},
    ],
)
def test_an_image_is_sent_as_for_a_classification(worker: Address, vector: Any, sent: Any) -> None:
    assert np.array_equal(np.array(embed(worker, **sent).json()["outputs"]["embedding"], np.float32), vector)


@pytest.mark.parametrize(
    ("path", "sent", "status", "said"),
    [
        ("/embed?top=1", {}, 400, "unknown query parameter 'top': there are none here"),
        ("/embed", {"data": b"plain text"}, 415, "a body of text without a Content-Type is not supported"),
        ("/embed", {"files": {"data": b""}}, 400, "empty"),
        ("/models/other/embed", {}, 404, "and not 'other'"),
        ("/models/efficientnet-lite0/versions/2/embed", {}, 404, "and not 'efficientnet-lite0, version 2'"),
        ("/models/efficientnet-lite0/signatures/serving_default/embed", {}, 404, "there is no /models"),
    ],
)
def test_what_has_no_vector_is_told_why(
    worker: Address, path: str, sent: Any, status: int, said: str
) -> None:
    assert said in problem(embed(worker, path, **sent), status)


def test_a_get_is_told_to_post(worker: Address) -> None:
    answer = requests.get(f"{worker.url}/embed", timeout=30)
    assert (answer.status_code, "POST" in answer.headers["Allow"]) == (405, True)


def test_a_table_has_no_vectors() -> None:
    with serving(FakeModel(), name="wine") as (worker, _):
        assert problem(embed(worker), 404) == (
            "the model wine has no embedding: it takes no images (its kind is table)"
        )
        assert ("POST", "/embed") not in OpenApiDocument.of(worker.url).operations


class Counted:
    """A classifier that notes what ran together. An image's answer is its first byte, or ten times that."""

    labels = tuple(map(str, range(256)))
    scores = SimpleNamespace(probabilities=True)
    predictor = SimpleNamespace(waiting=0)
    spec = SimpleNamespace(name="counted")
    batch_sizes = (1, 2, 4)
    concurrent_runs = 1
    embedding: Embedding | None = Embedding("v:0", 1, "space")

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.runs: list[tuple[str, list[int]]] = []

    @property
    def classifier(self) -> Counted:
        return self

    def prepare(self, image: bytes, *_: Any) -> int:
        return image[0]

    def run(self, batch: Sequence[int]) -> list[Any]:
        return self._note("run", batch, 1)

    def embed(self, batch: Sequence[int]) -> list[Any]:
        return self._note("embed", batch, 10)

    def _note(self, what: str, batch: Sequence[int], factor: int) -> list[Any]:
        self.runs.append((what, list(batch)))
        assert self.gate.wait(20)
        return [np.array([image * factor], np.float32) for image in batch]

    def top(self, row: Any, _: int) -> list[tuple[str, float]]:
        return [("only", float(row[0]))]


@pytest.fixture
def counted() -> Iterator[tuple[Counted, Address, ThreadPoolExecutor]]:
    model = Counted()
    with serving(model, threads=12) as (address, _), ThreadPoolExecutor(12) as pool:
        try:
            yield model, address, pool
        finally:
            model.gate.set()


def test_vectors_and_labels_wait_in_one_queue(counted: tuple[Counted, Address, ThreadPoolExecutor]) -> None:
    model, worker, pool = counted
    typed = {"Content-Type": "image/jpeg"}

    def send(path: str, image: int) -> Any:
        body = bytes([image])
        return requests.post(worker.url + path, data=body, headers=typed, timeout=20).json()

    held = pool.submit(send, "/", 1)
    eventually_sync(lambda: model.runs)
    answers = []
    for number, path in enumerate(("/", "/embed", "/", "/embed", "/embed", "/"), start=2):
        answers.append(pool.submit(send, path, number))
        eventually_sync(lambda: _waiting(worker), wanted=(number - 1).__eq__)
    model.gate.set()
    assert held.result() == [["only", 1.0]]
    assert [answer.result() for answer in answers] == [
        [["only", 2.0]],
        {"success": True, "outputs": {"embedding": [30.0]}},
        [["only", 4.0]],
        {"success": True, "outputs": {"embedding": [50.0]}},
        {"success": True, "outputs": {"embedding": [60.0]}},
        [["only", 7.0]],
    ]
    # The oldest goes first, with those that want the same; never so many that the size was not warmed up.
    assert model.runs == [
        ("run", [1]),
        ("run", [2, 4]),
        ("embed", [3, 5]),
        ("embed", [6]),
        ("run", [7]),
    ]


def _waiting(worker: Address) -> int:
    lines = requests.get(f"{worker.url}/metrics", timeout=20).text.splitlines()
    return int(float(next(line for line in lines if line.startswith("tfleet_worker_waiting ")).split()[1]))


def test_an_image_model_may_have_no_embedding(
    counted: tuple[Counted, Address, ThreadPoolExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, worker, _ = counted
    monkeypatch.setattr(model, "embedding", None)
    assert problem(embed(worker), 404) == (
        "the model counted has no embedding: its model.toml names none: set embedding under [output]"
    )
    assert model.runs == []
