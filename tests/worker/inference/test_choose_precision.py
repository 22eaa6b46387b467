"""Two real sessions are compared, and one of them stays.

What bfloat16 does to a graph only a CPU with its instructions shows; here another graph stands in for it.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphs import (
    MANIFEST,
    SIZE,
    decoding_graph,
    pixel_graph,
    write_graph,
    write_model,
)
from tests.support.pictures import picture, write_labels
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.inference.choose_precision import MAX_SAMPLES, load_in_best_precision, sample_images
from tfleet.worker.inference.precision import Precision, PrecisionChoice, Tuning, WantedPrecision
from tfleet.worker.model import ModelError, ModelSpec, find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def shares(sharpness: float) -> None:
    """The share of each colour; exact in float32, and less sharp or wrong in what stands in for bfloat16."""
    image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
    tf.nn.softmax(tf.reduce_mean(image, [1, 2]) * sharpness, name="shares")


def fails_on_images() -> None:
    image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
    tf.identity(tf.reshape(tf.reduce_mean(image, [1, 2]), [7, -1]), name="shares")


class Loaded:
    """Loads one graph as float32 and another as bfloat16, and remembers the classifiers."""

    def __init__(self, folder: Path, lower: Callable[[], Any]) -> None:
        self.folders: dict[Precision, Path] = {
            "float32": write_model(folder / "exact" / "1", lambda: shares(2.0)),
            "bfloat16": write_model(folder / "lower" / "1", lower, MANIFEST),
        }
        samples = self.folders["float32"] / "samples"
        samples.mkdir()
        for colour in ("red", "blue"):
            (samples / f"{colour}.png").write_bytes(picture(colour))
        self.made: list[Classifier] = []

    def __call__(self, precision: Precision) -> Classifier:
        self.made.append(Classifier.load(find_model(self.folders[precision]), precision=precision))
        return self.made[-1]

    def tuned(
        self, wanted: WantedPrecision, obstacle: str = "", tolerance: float = 0.05
    ) -> tuple[Classifier, PrecisionChoice]:
        spec = find_model(self.folders["float32"])
        return load_in_best_precision(spec, Tuning(1, wanted, tolerance), obstacle, self)

    @property
    def opened(self) -> list[str]:
        return [classifier.spec.name for classifier in self.made if "open" in repr(classifier)]


Make = Callable[[Callable[[], Any]], Loaded]


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Make]:
    made: list[Loaded] = []

    def make(lower: Callable[[], Any]) -> Loaded:
        made.append(Loaded(tmp_path, lower))
        return made[-1]

    yield make
    for classifier in (each for loaded in made for each in loaded.made):
        classifier.close()


@pytest.mark.parametrize("wanted", ["auto", "bfloat16"])
def test_bfloat16_stays_where_its_answers_are_near(loaded: Make, wanted: WantedPrecision) -> None:
    load = loaded(lambda: shares(1.95))
    classifier, choice = load.tuned(wanted)
    assert choice.precision == "bfloat16"
    assert choice.reason.startswith("largest change 0.009 ")
    assert choice.reason.endswith("on 2 sample images")
    assert (classifier.spec.name, load.opened) == ("lower", ["lower"])


def test_scores_stay_in_float32(loaded: Make, tmp_path: Path) -> None:
    def logits() -> None:
        image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
        tf.multiply(tf.reduce_mean(image, [1, 2]), 3.0, name="shares")

    load = loaded(logits)
    write_graph(load.folders["float32"] / "graph.pb", logits)
    _, choice = load.tuned("auto")
    assert (choice.precision, choice.reason) == ("float32", "the model's outputs are not probabilities")
    assert load.opened == ["exact"]


@pytest.mark.parametrize(
    ("lower", "reason"),
    [
        (lambda: shares(-2.0), "bfloat16 changes the label of blue.png from 'blue' to 'red'"),
        (lambda: shares(1.0), "bfloat16 changes a probability of"),
        (lambda: shares(2.0), "bfloat16 has no effect"),
        (fails_on_images, "bfloat16 fails: "),
    ],
)
def test_float32_stays_where_answers_differ(loaded: Make, lower: Callable[[], Any], reason: str) -> None:
    load = loaded(lower)
    classifier, choice = load.tuned("auto")
    assert choice.precision == "float32"
    assert choice.reason.startswith(reason)
    assert (classifier.spec.name, load.opened, len(load.made)) == ("exact", ["exact"], 2)


def test_explicit_bfloat16_fails_where_answers_differ(loaded: Make) -> None:
    """No session stays open."""
    load = loaded(lambda: shares(1.0))
    with pytest.raises(ModelError, match=r"--precision bfloat16: bfloat16 changes .* --precision-tolerance"):
        load.tuned("bfloat16")
    assert (len(load.made), load.opened) == (2, [])


def test_a_wider_tolerance_allows_bfloat16(loaded: Make) -> None:
    assert loaded(lambda: shares(1.0)).tuned("bfloat16", tolerance=0.5)[1].precision == "bfloat16"


def test_bfloat16_is_not_tried_where_it_cannot_work(loaded: Make) -> None:
    load = loaded(lambda: shares(1.95))
    classifier, choice = load.tuned("auto", "this CPU is old")
    assert choice == PrecisionChoice("float32", "this CPU is old")
    assert load.made == [classifier]


def test_with_float32_bfloat16_is_not_tried(loaded: Make) -> None:
    load = loaded(lambda: shares(1.95))
    classifier, choice = load.tuned("float32")
    assert choice.precision == "float32"
    assert load.made == [classifier]


def test_an_unreadable_sample_is_named_and_float32_stays(loaded: Make) -> None:
    load = loaded(lambda: shares(1.95))
    (load.folders["float32"] / "samples" / "torn.png").write_bytes(picture("red")[:40])
    _, choice = load.tuned("auto")
    assert choice.precision == "float32"
    assert re.match(r"the sample image torn\.png of .*: the PNG image is damaged", choice.reason)
    assert load.opened == ["exact"]


def test_explicit_bfloat16_reports_an_unreadable_sample(loaded: Make) -> None:
    """No session stays open."""
    load = loaded(lambda: shares(1.95))
    (load.folders["float32"] / "samples" / "torn.png").write_bytes(picture("red")[:40])
    with pytest.raises(ModelError, match=r"the sample image torn\.png of .*: the PNG image is damaged"):
        load.tuned("bfloat16")
    assert load.opened == []


def test_a_graph_that_fails_in_bfloat16_stays_in_float32(loaded: Make) -> None:
    load = loaded(lambda: shares(1.95))
    load.folders["bfloat16"] = load.folders["float32"] / "nothing"
    _, choice = load.tuned("auto")
    assert choice.reason.startswith("bfloat16 fails: ")
    assert load.opened == ["exact"]


BUILT_IN = ["cat.jpg", "coffee.jpg", "hopper.jpg", "rocket.jpg"]


def put(folder: Path, *names: str) -> None:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(picture("red"))


def test_a_model_without_samples_uses_the_packages(tmp_path: Path) -> None:
    assert list(sample_images(find_model(write_model(tmp_path / "m" / "1")))) == BUILT_IN


def test_samples_beside_the_labels_replace_the_packages(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m" / "1")
    put(model / "samples", "b.png", "a.png", ".hidden.png")
    (model / "samples" / "README.md").write_text("Pictures of roses.")
    assert list(sample_images(find_model(model))) == ["a.png", "b.png"]


def test_samples_beside_a_bare_graph_replace_the_packages(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "graph.pb", pixel_graph)
    put(tmp_path / "samples", "a.png")
    spec = find_model(graph, labels=write_labels(tmp_path), input_layer="image", output_layer="shares")
    assert list(sample_images(spec)) == ["a.png"]


def test_of_many_samples_the_first_are_used(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m" / "1")
    put(model / "samples", *(f"{number:02}.png" for number in range(MAX_SAMPLES + 5)))
    assert list(sample_images(find_model(model))) == [f"{number:02}.png" for number in range(MAX_SAMPLES)]


@pytest.mark.parametrize("kind", ["any number", "uint8", "decoding"])
def test_the_packages_samples_run_in_any_kind_of_model(tmp_path: Path, kind: str) -> None:
    classifier = Classifier.load(_model(tmp_path, kind))
    for image in sample_images(classifier.spec).values():
        (row,) = classifier.run([classifier.prepare(image, ImageLimits())])
        assert row.sum() == pytest.approx(1)
    classifier.close()


def _model(folder: Path, kind: str) -> ModelSpec:
    if kind == "decoding":
        graph = write_graph(folder / "graph.pb", decoding_graph)
        labels = write_labels(folder)
        return find_model(
            graph, labels=labels, input_layer="DecodeJpeg/contents", output_layer="final_result"
        )
    dtype = tf.uint8 if kind == "uint8" else tf.float32
    return find_model(write_model(folder / "m" / "1", lambda: pixel_graph((None, 300, 500, 3), dtype)))
