from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.graphs import decoding_graph, pixel_graph, write_model
from tests.support.photos import PHOTOS as BY_NAME
from tfleet.bulk.image_scorer import ImageScorer
from tfleet.bulk.model_columns import ImageColumn
from tfleet.contract.names import MAX_BODY_BYTES
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.classifier import Classifier
from tfleet.worker.model.find import find_model

pytestmark = pytest.mark.process

PHOTOS = sorted(BY_NAME.values())
DECODING = '[input]\ntensor = "DecodeJpeg/contents:0"\n[output]\ntensor = "final_result:0"\n'


@pytest.fixture
def scorer(tmp_path: Path) -> Iterator[Callable[..., ImageScorer]]:
    models: list[Classifier] = []

    def make(build: Callable[[], None] = pixel_graph, **manifest: str) -> ImageScorer:
        folder = write_model(tmp_path / "m" / "1", build, **manifest)
        models.append(Classifier.load(find_model(folder), cpus=1))
        models[-1].warm_up((1, 8))
        return ImageScorer(models[-1], ImageColumn("image"), batch_rows=8, top=1)

    yield make
    for model in models:
        model.close()


def expected(scorer: ImageScorer, paths: list[Path]) -> list[str]:
    model: Any = scorer._classifier
    images = [model.prepare(path.read_bytes(), ImageLimits()) for path in paths]
    return [model.labels[index] for index in model.run(images).argmax(axis=1).tolist()]


def test_paths_and_bytes_are_scored_alike(scorer: Any) -> None:
    pixels = scorer()
    paths = pixels.score(
        pa.record_batch({"image": [str(path) for path in PHOTOS], "id": range(len(PHOTOS))}), {}
    )
    contents = pixels.score(pa.record_batch({"image": [path.read_bytes() for path in PHOTOS]}), {})
    assert paths.errors == contents.errors == {}
    assert paths.predictions == contents.predictions
    assert paths.predictions["label"].to_pylist() == expected(pixels, PHOTOS)


def test_images_that_cannot_be_scored_do_not_harm_others(scorer: Any, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no image")
    (tmp_path / "large").touch()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BODY_BYTES + 1)
    good = str(PHOTOS[0])
    bad = [str(tmp_path / name) for name in ("missing", "text", "large")]
    rows = [good, bad[0], bad[1], None, bad[2], "/dev/zero", good]
    found = scorer().score(pa.record_batch({"image": rows}), {})
    assert [label is None for label in found.predictions["label"].to_pylist()] == [
        *(False, True, True, True, True, True, False)
    ]
    assert found.errors[1] == "the image cannot be read: there is no such file"
    assert found.errors[3] == "column 'image': no value"
    too_large = f"the file has more than the {MAX_BODY_BYTES} bytes that an image may have"
    assert found.errors[4] == f"the image cannot be read: {too_large}"
    assert found.errors[5] == "the image cannot be read: there is no such file"
    assert set(found.errors) == {1, 2, 3, 4, 5}


def test_a_graph_that_takes_one_image_gets_one(scorer: Any) -> None:
    decoding = scorer(decoding_graph, manifest=DECODING)
    assert decoding.most_rows == 1
    found = decoding.score(pa.record_batch({"image": [str(PHOTOS[0])]}), {})
    assert found.predictions["label"].to_pylist() == expected(decoding, PHOTOS[:1])
