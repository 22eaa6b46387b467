"""How long the images of one request may take together."""

from __future__ import annotations

import base64
import io

import pytest
import requests
from PIL import Image

from tests.support.worker_http import serving
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.image_tensors import check_elapsed
from tfleet.worker.inference import Classifier

pytestmark = pytest.mark.process


def png(side: int) -> str:
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def ask(url: str, images: list[str]) -> requests.Response:
    body = {"instances": [{"b64": image} for image in images]}
    return requests.post(f"{url}/v1/models/efficientnet-lite0:predict", json=body, timeout=60)


def test_images_that_take_too_long_together_are_a_413(classifier: Classifier) -> None:
    # 1.2 s by the estimate for each, of 0.5 s that a request may take, and three times that is refused.
    large = png(7_000)
    with serving(classifier, decode_within_s=0.5) as (worker, _):
        refused = ask(worker.url, [large] * 2)
        assert refused.status_code == 413, refused.text
        assert "send fewer images at once" in refused.json()["error"]
        assert "Retry-After" not in refused.headers
        assert ask(worker.url, [png(32)] * 8).status_code == 200


def test_time_that_the_first_images_took_is_no_429() -> None:
    check_elapsed(8.9, 9, done=3, images=20)
    with pytest.raises(ProblemError) as raised:
        check_elapsed(9, 9, done=3, images=20)
    problem = raised.value.problem
    assert (problem.status, problem.retry_after_s) == (413, None)
    assert problem.detail.startswith("decoding 3 of the request's 20 images has taken 9 s")
