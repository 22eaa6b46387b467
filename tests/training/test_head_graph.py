"""The graph that is served answers what the head does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.graphs import MANIFEST, SIZE, write_model
from tests.support.pictures import COLOURS, picture
from tests.training.drawn_photos import drawn
from tfleet.training.export import write_model as write_retrained
from tfleet.training.head_graph import with_head
from tfleet.training.softmax_regression import LinearHead
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.classifier import Classifier
from tfleet.worker.model.find import find_model

pytestmark = pytest.mark.process  # it loads TensorFlow

_HEAD = LinearHead(
    np.array([[3, 0], [0, 3], [-1, 1]], dtype=np.float32), np.array([0.5, 0], dtype=np.float32)
)
_LABELS = ("花", "木")


@pytest.fixture
def backbone(tmp_path: Path) -> Iterator[Classifier]:
    """Its vector is the share of red, green and blue in an image."""
    manifest = f'{MANIFEST}embedding = "shares:0"\n'.replace("[output]", f"size = {SIZE}\n[output]")
    model = Classifier.load(find_model(write_model(tmp_path / "shares" / "1", manifest=manifest)))
    yield model
    model.close()


def _retrained(backbone: Classifier, folder: Path, min_confidence: float | None) -> Classifier:
    folder.mkdir()
    labels = _LABELS if min_confidence is None else (*_LABELS, "unknown")
    write_retrained(folder, with_head(backbone, _HEAD, min_confidence), labels, backbone.spec.input)
    return Classifier.load(find_model(folder))


def test_the_served_graph_gives_the_probabilities_of_the_head(backbone: Classifier, tmp_path: Path) -> None:
    images = [*(picture(each) for each in COLOURS), drawn("ellipse", 1), drawn("stripes", 2)]
    vectors = backbone.embed([backbone.prepare(each, ImageLimits()) for each in images])
    served = _retrained(backbone, tmp_path / "new", None)
    try:
        served.warm_up((1, 2))
        assert served.labels == _LABELS
        assert served.scores.probabilities
        prepared = [served.prepare(each, ImageLimits()) for each in images]
        assert served.run(prepared) == pytest.approx(_HEAD.probabilities(vectors), abs=1e-6)
        assert served.embed(prepared) == pytest.approx(vectors, abs=1e-6)
    finally:
        served.close()


def test_an_unsure_answer_is_unknown(backbone: Classifier, tmp_path: Path) -> None:
    images = [drawn(shape, number) for shape in ("ellipse", "stripes") for number in range(12)]
    images += [picture(each) for each in COLOURS]
    plain = _HEAD.probabilities(backbone.embed([backbone.prepare(each, ImageLimits()) for each in images]))
    served = _retrained(backbone, tmp_path / "new", 0.8)
    try:
        served.warm_up((1, 2))
        assert served.scores.probabilities
        found = served.run([served.prepare(each, ImageLimits()) for each in images])
    finally:
        served.close()
    sure = plain.max(axis=1) >= 0.8
    assert 0 < sure.sum() < len(images)
    assert found[sure] == pytest.approx(np.pad(plain[sure], ((0, 0), (0, 1))), abs=1e-6)
    assert found[~sure, 2] == pytest.approx(0.8, abs=1e-6)
    assert found[~sure, :2] == pytest.approx(0.2 * plain[~sure], abs=1e-6)
    assert (found[~sure].argmax(axis=1) == 2).all()
