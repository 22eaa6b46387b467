"""Image models answer a picture as Keras answers its pixels: the worker prepares them as it should."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from tests.models.answers import read_golden
from tests.models.asked import loaded
from tests.support.worker_http import serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

DIVIDED = {"input_mean": 0.0, "input_std": 255.0}


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _same(scores: Any) -> Any:
    return scores


def _both(p: Any) -> Any:
    return np.concatenate([1 - p, p], axis=1)


@pytest.mark.parametrize("form", ["", ".keras.saved", ".h5.saved"])
@pytest.mark.parametrize(
    ("name", "options", "labels", "score", "expected"),
    [
        ("bytes_scaled_inside", {}, (), "probability", _same),
        ("grey_28", DIVIDED, (), "probability", _same),
        ("logits", DIVIDED, (), "score", _same),
        ("logits", {**DIVIDED, "activation": "softmax"}, (), "probability", _softmax),
        ("one_sigmoid", DIVIDED, ("no", "yes"), "probability", _both),
    ],
    ids=["scaled inside", "grey", "logits", "softmax", "sigmoid"],
)
def test_a_picture_gets_keras_own_scores(
    golden_models: Path,
    tmp_path: Path,
    form: str,
    name: str,
    options: Any,
    labels: Any,
    score: str,
    expected: Any,
) -> None:
    golden = read_golden(golden_models / f"{name}@serving_default.npz")
    (images,), (outputs,) = golden.inputs.values(), golden.outputs.values()
    wanted = expected(outputs)
    if labels:
        options = {**options, "labels": tmp_path / "labels.txt"}
        options["labels"].write_text("\n".join(labels))
    names = labels or [str(number) for number in range(wanted.shape[1])]
    with loaded(golden_models / f"{name}{form}", **options) as model:
        with serving(model, name=name) as (address, _):
            for image, row in zip(images, wanted, strict=True):
                found = _ask(address.url, image, top=len(names))
                assert [each.keys() for each in found] == [{"label", score}] * len(names)
                by_label = {each["label"]: each[score] for each in found}
                assert by_label == pytest.approx(
                    dict(zip(names, row.tolist(), strict=True)), rel=1e-4, abs=1e-5
                )


def _ask(url: str, pixels: Any, top: int) -> list[dict[str, Any]]:
    answer = requests.post(f"{url}/predict?top={top}", files={"image": _png(pixels)}, timeout=60)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def _png(pixels: Any) -> bytes:
    whole = pixels if pixels.dtype == np.uint8 else np.round(pixels * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(whole.squeeze()).save(file, "PNG")
    return file.getvalue()
