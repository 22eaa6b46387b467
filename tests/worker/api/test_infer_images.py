"""`POST /v2/models/NAME/infer` with the default model: images as BYTES, and tensors as they are."""

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
from tests.worker.api.protocols.oip.bodies import binary, body, strings, tensor
from tfleet.contract.address import Address
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier

pytestmark = pytest.mark.process

NAME = "efficientnet-lite0"
HEADER = "Inference-Header-Content-Length"
PHOTO = next(iter(PHOTOS.values())).read_bytes()


def ask(worker: Address, content: bytes, header: str | None = None) -> requests.Response:
    headers = {} if header is None else {HEADER: header}
    return requests.post(f"{worker.url}/v2/models/{NAME}/infer", data=content, headers=headers, timeout=60)


def probabilities(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


def expected(worker: Address) -> list[tuple[str, float]]:
    found = requests.post(f"{worker.url}/predict?top=3", data=PHOTO, timeout=60).json()["predictions"]
    return [(each["label"], each["probability"]) for each in found]


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_an_image_is_decoded_as_anywhere_else(worker: Address, shape: tuple[int, ...]) -> None:
    asked = [{"name": "probability", "parameters": {"classification": 3}}]
    sent = binary("BYTES", shape, strings(PHOTO), "image", outputs=asked)
    (output,) = ask(worker, *sent).json()["outputs"]
    assert output["shape"] == [1, 3]
    found = [text.split(":") for text in output["data"]]
    assert [label for _, _, label in found] == [label for label, _ in expected(worker)]
    for (score, _, _), (_, probability) in zip(found, expected(worker), strict=True):
        assert float(score) == pytest.approx(probability, abs=1e-5)


def test_images_come_in_base64_in_json(worker: Address) -> None:
    text = base64.b64encode(PHOTO).decode()
    rows = probabilities(ask(worker, body(tensor("image", "BYTES", [2], [text] * 2, content_type="base64"))))
    assert rows.shape == (2, 1000)
    assert rows[0].max() == pytest.approx(expected(worker)[0][1], abs=1e-5)


def test_a_tensor_goes_into_the_model_as_it_is(worker: Address, classifier: Classifier) -> None:
    pixels = np.asarray(classifier.prepare(PHOTO, ImageLimits()), np.float32)[None]
    from_tensor = probabilities(ask(worker, *binary("FP32", pixels.shape, pixels.tobytes(), "image")))
    from_image = probabilities(ask(worker, *binary("BYTES", (1,), strings(PHOTO), "image")))
    assert np.allclose(from_tensor, from_image, atol=1e-6)


def test_what_is_no_image_is_refused(worker: Address) -> None:
    answer = ask(worker, *binary("BYTES", (1,), strings(b"no image"), "image"))
    assert answer.status_code == 400
    assert json.loads(answer.content)["error"]
    assert "at least one" in ask(worker, *binary("BYTES", (0,), b"", "image")).json()["error"]
    assert "BYTES with an image" in ask(worker, body(tensor("image", "UINT8", [1], [1]))).json()["error"]


def test_the_tensors_that_images_become_have_a_limit(worker: Address) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    many = [file.getvalue()] * 20  # 600 kB each, and the worker of these tests has 8 MB for a body's inputs
    answer = ask(worker, *binary("BYTES", (20,), strings(*many), "image"))
    assert answer.status_code == 413
    assert "8000000 bytes" in answer.json()["error"]
