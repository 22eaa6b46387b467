"""Sample images are the model's own, else those of the package."""

from pathlib import Path

import pytest

from tests.worker.model.graphs import decoding_graph, pixel_graph, write_graph, write_labels, write_model
from tests.worker.model.pictures import picture
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.inference.choose_precision import MOST, sample_images
from tfleet.worker.model import ModelSpec, find_model
from tfleet.worker.model.tensorflow import tf

BUILT_IN = ["cat.jpg", "coffee.jpg", "hopper.jpg", "rocket.jpg"]


def put(folder: Path, *names: str) -> None:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(picture("red"))


def test_a_model_without_samples_uses_the_packages(tmp_path: Path) -> None:
    assert list(sample_images(find_model(write_model(tmp_path / "m" / "1")))) == BUILT_IN


def test_those_beside_the_labels_take_their_place(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m" / "1")
    put(model / "samples", "b.png", "a.png", ".hidden.png")
    (model / "samples" / "README.md").write_text("Pictures of roses.")
    assert list(sample_images(find_model(model))) == ["a.png", "b.png"]


def test_those_beside_a_bare_graph_do_too(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "graph.pb", pixel_graph)
    put(tmp_path / "samples", "a.png")
    spec = find_model(graph, labels=write_labels(tmp_path), input_layer="image", output_layer="shares")
    assert list(sample_images(spec)) == ["a.png"]


def test_of_many_the_first_are_taken(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m" / "1")
    put(model / "samples", *(f"{number:02}.png" for number in range(MOST + 5)))
    assert list(sample_images(find_model(model))) == [f"{number:02}.png" for number in range(MOST)]


@pytest.mark.parametrize("kind", ["any number", "uint8", "decoding"])
def test_those_of_the_package_run_in_any_kind_of_model(tmp_path: Path, kind: str) -> None:
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
