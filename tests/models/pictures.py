"""Image models, the options that they need, and what they answer to pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.answers import read_golden


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def same(scores: Any) -> Any:
    return scores


def both(p: Any) -> Any:
    return np.concatenate([1 - p, p], axis=1)


DIVIDED = {"input_mean": 0.0, "input_std": 255.0}


@dataclass(frozen=True, slots=True)
class PictureModel:
    """An image model, its options, and what `scores` makes of Keras' own answer."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    score: str = "probability"
    scores: Callable[[Any], Any] = same

    def with_labels(self, folder: Path) -> dict[str, Any]:
        """The options; the labels are written there."""
        if not self.labels:
            return dict(self.options)
        file = folder / "labels.txt"
        file.write_text("\n".join(self.labels))
        return {**self.options, "labels": file}

    def expected(self, models: Path) -> list[tuple[bytes, dict[str, Any]]]:
        """PNG files, and the score of each label."""
        golden = read_golden(models / f"{self.name}@serving_default.npz")
        (images,), (outputs,) = golden.inputs.values(), golden.outputs.values()
        wanted = self.scores(outputs)
        names = self.labels or [str(number) for number in range(wanted.shape[1])]
        return [
            (_png(image), dict(zip(names, row.tolist(), strict=True)))
            for image, row in zip(images, wanted, strict=True)
        ]


PICTURE_MODELS: Mapping[str, PictureModel] = {
    "scaled inside": PictureModel("bytes_scaled_inside"),
    "grey": PictureModel("grey_28", DIVIDED),
    "logits": PictureModel("logits", DIVIDED, score="score"),
    "softmax": PictureModel("logits", {**DIVIDED, "activation": "softmax"}, scores=softmax),
    "sigmoid": PictureModel("one_sigmoid", DIVIDED, ("no", "yes"), scores=both),
}


def check_scores(found: list[dict[str, Any]], expected: Mapping[str, float], score: str) -> None:
    """Predictions of a JSON answer: these labels with these scores, best first."""
    assert [each.keys() for each in found] == [{"label", score}] * len(expected)
    assert {each["label"]: each[score] for each in found} == pytest.approx(expected, rel=1e-4, abs=1e-5)
    values = [each[score] for each in found]
    assert values == sorted(values, reverse=True)


def _png(pixels: Any) -> bytes:
    whole = pixels if pixels.dtype == np.uint8 else np.round(pixels * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(whole.squeeze()).save(file, "PNG")
    return file.getvalue()
