"""Image models behind proxies in both modes answer pictures as Keras answers their pixels: in every form of
an upload, by every way to a worker.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from tests.models.pictures import PICTURE_MODELS, PictureModel, check_scores
from tests.support.served_model import served_model
from tests.support.waiting import eventually_sync
from tfleet.client import FleetClient

pytestmark = pytest.mark.timeout(600)

Expected = list[tuple[bytes, dict[str, Any]]]
CASES = [
    *(("grey", form) for form in ("", ".keras", ".h5")),
    *(("scaled inside", ".keras"), ("logits", ".h5"), ("softmax", ""), ("sigmoid", ".keras")),
]


@pytest.mark.parametrize(("case", "form"), CASES)
async def test_a_picture_gets_keras_own_scores(
    golden_models: Path, tmp_path: Path, case: str, form: str
) -> None:
    model = PICTURE_MODELS[case]
    given = model.with_labels(tmp_path) | {"precision": "float32"}  # bfloat16 is not as exact
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    file, cache = golden_models / f"{model.name}{form}", golden_models / "cache"
    async with served_model(file, *options, cache=cache) as served:
        expected = model.expected(golden_models)
        await served.by_http(_check_by_http, model, expected)
        await served.by_client(_check_by_client, model, expected, tmp_path)


def _check_by_http(url: str, model: PictureModel, expected: Expected) -> None:
    """Each upload alone, then all at once."""
    asked = [(upload, scores) for png, scores in expected for upload in _uploads(png)]
    for upload, scores in asked:
        _ask(url, upload, scores, model.score)

    def ask_all_at_once() -> int:
        with ThreadPoolExecutor(16) as threads:
            return max(threads.map(lambda pair: _ask(url, pair[0], pair[1], model.score), asked))

    eventually_sync(ask_all_at_once, wanted=lambda batch: batch > 1)


def _uploads(png: bytes) -> Iterator[dict[str, Any]]:
    """The ways to send an image, as arguments for requests."""
    encoded = b64encode(png).decode()
    yield {"files": {"image": png}}
    yield {"files": {"data": ("picture.png", png, "image/png")}}
    yield {"data": png, "headers": {"Content-Type": "image/png"}}
    yield {"json": {"image": {"b64": encoded}}}
    yield {"json": {"data": f"data:image/png;base64,{encoded}"}}


def _ask(url: str, upload: dict[str, Any], scores: dict[str, Any], score: str) -> int:
    """Check an answer; how many requests ran in its batch."""
    answer = requests.post(f"{url}/predict?top={len(scores)}", timeout=60, **upload)
    assert answer.status_code == 200, f"{url}: {answer.text}"
    check_scores(answer.json()["predictions"], scores, score)
    return int(answer.headers["X-Batch-Size"])


def _check_by_client(client: FleetClient, model: PictureModel, expected: Expected, folder: Path) -> None:
    """Each source of an image alone, then all in one call."""
    sources = [(source, scores) for png, scores in expected for source in _sources(png, folder)]
    for source, scores in sources:
        _check(client.classify(source, top=len(scores)).predictions, scores, model)
    top = len(expected[0][1])
    outcomes = list(client.classify_many([source for source, _ in sources], top=top))
    assert len(outcomes) == len(sources)
    for outcome, (_, scores) in zip(outcomes, sources, strict=True):
        _check(outcome.result().predictions, scores, model)


def _sources(png: bytes, folder: Path) -> Iterator[Any]:
    path = folder / f"{hash(png)}.png"
    path.write_bytes(png)
    image = Image.open(io.BytesIO(png))
    yield from (path, png, image, np.asarray(image))


def _check(predictions: Any, scores: dict[str, Any], model: PictureModel) -> None:
    found = [{"label": each.label, model.score: getattr(each, model.score)} for each in predictions]
    check_scores(found, scores, model.score)
