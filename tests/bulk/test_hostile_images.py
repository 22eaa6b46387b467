"""Hostile images in a run of this machine: each costs its own row, and no memory beyond what is allowed."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.bulk.conftest import most_bytes, score_argv
from tests.support.environment import users_environment
from tests.support.graphs import write_model
from tests.support.hostile_images import HOSTILE, made
from tests.support.photos import PHOTOS
from tfleet.bulk.image_decoders import ImageDecoders
from tfleet.bulk.image_scorer import ImageScorer
from tfleet.bulk.model_columns import ImageColumn
from tfleet.worker.inference.classifier import Classifier
from tfleet.worker.model.find import find_model

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

MEMORY_BYTES = 1_000_000_000
LARGEST_BYTES = 10_000_000  # the others take long to make, and are refused by their headers
CRASH = """
import os
from tfleet.worker.decoders.child import serve
serve({"pixels": lambda arguments, picture: os.abort()})
"""


def test_hostile_images_end_no_run(tmp_path: Path) -> None:
    model = write_model(tmp_path / "colours" / "1")
    (tmp_path / "photos").mkdir()
    good = [path.name for path in PHOTOS.values()]
    for path in PHOTOS.values():
        shutil.copy(path, tmp_path / "photos")
    names: dict[str, str] = {}
    for number, name in enumerate(HOSTILE):
        if len(made(name)) <= LARGEST_BYTES:
            names[f"hostile-{number}.jpg"] = name
            (tmp_path / "photos" / f"hostile-{number}.jpg").write_bytes(made(name))
    argv = score_argv("photos", "-o", "out", "--model", model, "--memory", MEMORY_BYTES)
    with subprocess.Popen(
        argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=users_environment()
    ) as run:
        most = most_bytes(run)
        assert (run.wait(), run.stderr and run.stderr.read()) == (1, "")
    assert most < 1.25 * MEMORY_BYTES, most
    rows = {Path(row["path"]).name: row for row in pq.read_table(tmp_path / "out").to_pylist()}
    assert set(rows) == {*good, *names}
    assert [rows[name]["_error"] for name in good] == [None] * len(good)
    for file, name in names.items():
        error = rows[file]["_error"]
        assert (error is None) == (rows[file]["label"] is not None), name
        if 200 not in HOSTILE[name].statuses:
            assert error, name
    errors = {name: rows[file]["_error"] for file, name in names.items()}
    assert errors["PNG of 64 megapixels"] == (
        "decoding this PNG image takes about 768 MB, and a quarter of --memory is 250 MB: "
        "give --memory more, or save a smaller image"
    )


@pytest.fixture
def classifier(tmp_path: Path) -> Iterator[Classifier]:
    model = Classifier.load(find_model(write_model(tmp_path / "m" / "1")), cpus=1)
    model.warm_up((1, 8))
    with closing(model):
        yield model


def test_an_image_that_ends_its_decoder_has_an_error(classifier: Classifier) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "AVIF")  # which is always decoded in another process
    good = next(iter(PHOTOS.values())).read_bytes()
    with closing(ImageDecoders(MEMORY_BYTES, command=(sys.executable, "-c", CRASH))) as decoders:
        scorer = ImageScorer(
            classifier,
            ImageColumn("image"),
            batch_rows=8,
            top=1,
            prepare=lambda image: decoders.prepare(classifier, image),
        )
        found = scorer.score(pa.record_batch({"image": [good, buffer.getvalue(), good]}), {})
    assert list(found.errors) == [1]
    assert found.errors[1].startswith("this AVIF image can't be decoded: the decoder of this image ended (")
    assert [label is None for label in found.predictions["label"].to_pylist()] == [False, True, False]
