"""An image is decoded as `POST /predict` does it: in every form, at a worker and through a proxy."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from tests.support.photos import PHOTOS
from tests.worker.api.exchanges.infer_forms import CODINGS, LENGTH, packed_as, unpacked
from tests.worker.api.exchanges.ways import Answer, Way, ways_to
from tests.worker.api.protocols.oip.bodies import binary, body, strings, tensor
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier

pytestmark = pytest.mark.process

NAME = "efficientnet-lite0"
PHOTO = next(iter(PHOTOS.values())).read_bytes()
TEXT = base64.b64encode(PHOTO).decode()
B64 = {"b64": TEXT}
BEST = {"outputs": [{"name": "probability", "parameters": {"classification": 3}}]}


@pytest.fixture(scope="module")
def ways(classifier: Classifier) -> Iterator[dict[str, Way]]:
    with ways_to(classifier, NAME) as found:
        yield found


@pytest.fixture(scope="module")
def best(ways: dict[str, Way]) -> list[tuple[str, float]]:
    """The best three labels, as the worker's native contract has them."""
    answer = requests.post(f"{ways['worker'].address.url}/predict?top=3", data=PHOTO, timeout=60)
    return [(each["label"], each["probability"]) for each in answer.json()["predictions"]]


def asked(way: Way, path: str, content: bytes, length: str | None = None, coding: str = "") -> Answer:
    headers = {} if length is None else {LENGTH: length}
    if coding:
        headers |= {"Content-Encoding": coding, "Accept-Encoding": coding}
    answer = way.post(path, packed_as(coding, content), headers)
    assert answer.status == 200, answer.body
    return Answer(200, answer.headers, unpacked(answer.headers.get("Content-Encoding"), answer.body))


def predicted(way: Way, coding: str = "", **members: Any) -> Any:
    answer = asked(way, f"/v1/models/{NAME}:predict", json.dumps(members).encode(), coding=coding)
    (found,) = json.loads(answer.body).values()
    return np.array(found)


def inferred(way: Way, sent: tuple[bytes, str | None], coding: str = "") -> Any:
    """The one output, which comes in JSON or in binary."""
    answer = asked(way, f"/v2/models/{NAME}/infer", *sent, coding)
    head = int(answer.headers.get(LENGTH) or len(answer.body))
    (output,) = json.loads(answer.body[:head])["outputs"]
    if "data" in output:
        return np.array(output["data"]).reshape(output["shape"])
    if output["datatype"] == "FP32":
        return np.frombuffer(answer.body[head:], np.float32).reshape(output["shape"])
    found, rest = [], answer.body[head:]
    while rest:
        (size,) = struct.unpack_from("<I", rest)
        found.append(rest[4 : 4 + size].decode())
        rest = rest[4 + size :]
    return np.array(found).reshape(output["shape"])


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("answered", [True, False], ids=["binary", "json"])
def test_images_are_classified_by_inference(way: Way, best: Any, coding: str, answered: bool) -> None:
    others = {**BEST, "parameters": {"binary_data_output": answered}}
    for sent in (
        (body(tensor("image", "BYTES", [1], [TEXT], content_type="base64"), **others), None),
        binary("BYTES", (1,), strings(PHOTO), "image", **others),
        binary("BYTES", (1, 1), strings(PHOTO), "image", **others),
    ):
        found = [text.split(":") for text in inferred(way, sent, coding)[0]]
        assert [label for _, _, label in found] == [label for label, _ in best]
        scores = [float(score) for score, _, _ in found]
        assert scores == pytest.approx([probability for _, probability in best], abs=1e-5)


@pytest.mark.parametrize("coding", CODINGS)
def test_images_are_classified_in_rows_and_columns(way: Way, best: Any, coding: str) -> None:
    # tensorflow/serving#1317, #2104
    for members, shape in (
        ({"instances": [B64, B64]}, (2, 1000)),
        ({"instances": [{"image": B64}]}, (1, 1000)),
        ({"inputs": B64}, (1, 1000)),
        ({"inputs": [B64]}, (1, 1000)),
        ({"inputs": {"image": [B64]}}, (1, 1000)),
    ):
        rows = predicted(way, coding, **members)
        assert rows.shape == shape
        assert rows.max(axis=1).tolist() == pytest.approx([best[0][1]] * shape[0], abs=1e-5)


def test_each_row_has_one_image(ways: dict[str, Way]) -> None:
    two, one = [TEXT, TEXT], {"content_type": "base64"}
    for path, sent in (
        ("v1/models/{}:predict", {"instances": [[B64, B64]]}),
        ("v1/models/{}:predict", {"instances": [[B64, B64], [B64, B64]]}),
        ("v1/models/{}:predict", {"instances": [{"image": [B64, B64]}]}),
        ("v1/models/{}:predict", {"instances": [[[B64]]]}),
        ("v1/models/{}:predict", {"inputs": [[B64, B64]]}),
        ("v2/models/{}/infer", json.loads(body(tensor("image", "BYTES", [1, 2], two, **one)))),
        ("v2/models/{}/infer", json.loads(body(tensor("image", "BYTES", [], [TEXT], **one)))),
    ):
        answers = [way.post("/" + path.format(NAME), json.dumps(sent).encode()) for way in ways.values()]
        assert [answer.status for answer in answers] == [400, 400], answers
        assert "images have the shape [N] or [N, 1]" in json.loads(answers[0].body)["error"]
    for members in ({"instances": [[B64], [B64]]}, {"instances": [{"image": [B64]}] * 2}):
        assert predicted(ways["worker"], **members).shape == (2, 1000)
    inputs = body(tensor("image", "BYTES", [2, 1], two, **one))
    assert inferred(ways["worker"], (inputs, None)).shape == (2, 1000)


def test_a_tensor_goes_into_the_model_as_it_is(way: Way, classifier: Classifier) -> None:
    pixels = np.asarray(classifier.prepare(PHOTO, ImageLimits()), np.float32)[None]
    image = inferred(way, binary("BYTES", (1,), strings(PHOTO), "image"))
    for sent in (binary("FP32", pixels.shape, pixels.tobytes(), "image"), (pixels.tobytes(), "0")):
        assert np.allclose(inferred(way, sent), image, atol=1e-6)
    black = np.zeros((1, 224, 224, 3), np.float32)
    expected = classifier.run([black[0]])
    zeros = black.astype(int).tolist()
    in_json = body(tensor("image", "FP32", black.shape, [0] * black.size))
    for found in (
        predicted(way, instances=zeros),
        predicted(way, inputs={"image": zeros}),
        inferred(way, (in_json, None)),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_model_says_which_input_takes_images(way: Way) -> None:
    page = f"{way.address.url}/v2/models/{NAME}"
    found = requests.get(page, timeout=20).json()
    assert found["parameters"] == {"image_input": "image"}
    assert found["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 224, 224, 3]}]
    config = requests.get(f"{page}/config", timeout=20).json()
    assert config["parameters"]["image_input"] == {"string_value": "image"}
    page = f"{way.address.url}/v1/models/{NAME}/metadata"
    metadata = requests.get(page, timeout=20).json()["metadata"]
    assert metadata["image_input"] == {"serving_default": "image"}
    assert metadata["signature_def"]["signature_def"]["serving_default"]["inputs"].keys() == {"image"}


def test_what_is_no_image_is_refused_alike(ways: dict[str, Way]) -> None:
    for path, sent, said in (
        ("v1/models/{}:predict", (b'{"instances": [{"b64": "bm8gaW1hZ2U="}]}', None), "image"),
        (
            "v1/models/{}:predict",
            (json.dumps({"instances": [B64, 5]}).encode(), None),
            "input 'image', row 1 (the first is 0) is no image, and row 0 is one",
        ),
        (
            "v1/models/{}:predict",
            (json.dumps({"instances": [[[1.0]], B64]}).encode(), None),
            "input 'image', row 0 (the first is 0) is no image, and row 1 is one",
        ),
        ("v1/models/{}:predict", (b'{"instances": ["text"]}', None), "float32[?, 224, 224, 3]"),
        # The convolution's kernel would abort the process.
        ("v1/models/{}:predict", (b'{"instances": [[1, 2]]}', None), "with the shape [1, 2]"),
        ("v2/models/{}/infer", binary("BYTES", (1,), strings(b"no image"), "image"), "image"),
        ("v2/models/{}/infer", binary("BYTES", (0,), b"", "image"), "at least one"),
        ("v2/models/{}/infer", (body(tensor("image", "UINT8", [1], [1])), None), "BYTES with an image"),
        ("v2/models/{}/infer", (PHOTO, "0"), "and the image as BYTES"),
    ):
        headers = {} if sent[1] is None else {LENGTH: sent[1]}
        answers = [way.post("/" + path.format(NAME), sent[0], headers) for way in ways.values()]
        assert [answer.status for answer in answers] == [400, 400], answers
        assert answers[0].body == answers[1].body
        assert said in json.loads(answers[0].body)["error"]


def test_the_tensors_that_images_become_have_a_limit(way: Way) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    small = file.getvalue()  # 600 kB as a tensor, and the worker of these tests has 8 MB for a body's inputs
    content, length = binary("BYTES", (20,), strings(*[small] * 20), "image")
    rows = json.dumps({"instances": [{"b64": base64.b64encode(small).decode()}] * 20}).encode()
    for answer in (
        way.post(f"/v2/models/{NAME}/infer", content, {LENGTH: length}),
        way.post(f"/v1/models/{NAME}:predict", rows),
    ):
        assert answer.status == 413
        assert "8000000 bytes" in json.loads(answer.body)["error"]
