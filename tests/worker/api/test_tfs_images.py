"""`:predict` of `/v1` with the default model: images as `{"b64": ...}`, and tensors as they are."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from tests.support.photos import PHOTOS
from tfleet.contract.address import Address
from tfleet.worker.inference import Classifier

pytestmark = pytest.mark.process

PHOTO = next(iter(PHOTOS.values())).read_bytes()


def b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def ask(worker: Address, **members: Any) -> requests.Response:
    url = f"{worker.url}/v1/models/efficientnet-lite0:predict"
    return requests.post(url, data=json.dumps(members), timeout=60)


def rows_of(answer: requests.Response, key: str = "predictions") -> Any:
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()[key])


@pytest.fixture
def best(worker: Address) -> float:
    found = requests.post(f"{worker.url}/predict?top=1", data=PHOTO, timeout=60).json()["predictions"]
    probability: float = found[0]["probability"]
    return probability


def test_images_are_decoded_as_anywhere_else(worker: Address, best: float) -> None:
    # tensorflow/serving#1317, #2104
    rows = rows_of(ask(worker, instances=[b64(PHOTO), b64(PHOTO)]))
    assert rows.shape == (2, 1000)
    assert rows.max(axis=1).tolist() == pytest.approx([best, best], abs=1e-5)
    named = rows_of(ask(worker, instances=[{"image": b64(PHOTO)}]))
    assert named[0].tolist() == pytest.approx(rows[0].tolist(), abs=1e-6)


def test_one_image_is_a_batch_of_one_in_columns(worker: Address, best: float) -> None:
    for inputs in (b64(PHOTO), [b64(PHOTO)], {"image": [b64(PHOTO)]}):
        rows = rows_of(ask(worker, inputs=inputs), "outputs")
        assert (rows.shape, rows.max()) == ((1, 1000), pytest.approx(best, abs=1e-5))


def test_a_tensor_goes_into_the_model_as_it_is(worker: Address, classifier: Classifier) -> None:
    black = np.zeros((224, 224, 3), np.float32)
    rows = rows_of(ask(worker, instances=[black.astype(int).tolist()]))
    np.testing.assert_allclose(rows, classifier.run([black]), atol=1e-5)


def test_what_is_no_image_is_refused(worker: Address) -> None:
    answer = ask(worker, instances=[b64(b"no image")])
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/json")
    assert answer.json()["error"]
    assert "input 'image', row 0" in ask(worker, instances=[b64(PHOTO), 5]).json()["error"]
    assert "float32[?, 224, 224, 3]" in ask(worker, instances=["text"]).json()["error"]
    # The convolution's kernel would abort the process.
    assert "with the shape [1, 2]" in ask(worker, instances=[[1, 2]]).json()["error"]


def test_the_tensors_that_images_become_have_a_limit(worker: Address) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    # 600 kB each, and the worker of these tests has 8 MB for a body's inputs
    answer = ask(worker, instances=[b64(file.getvalue())] * 20)
    assert answer.status_code == 413
    assert "8000000 bytes" in answer.json()["error"]
