"""The vectors of images: in whatever form a model has its embedding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.graphs import SIZE, write_model
from tests.support.photos import PHOTOS
from tests.support.pictures import picture, write_labels
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.model.embedding import vector_space
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

_LIMITS = ImageLimits()


def test_the_default_model_has_a_vector_per_image(default: Classifier) -> None:
    images = [default.prepare(PHOTOS[name].read_bytes(), _LIMITS) for name in ("cat", "coffee", "cat")]
    together = default.embed(images)
    assert together.shape == (3, 1280)
    assert together.dtype == np.float32
    assert np.array_equal(together[0], together[2])
    assert together[1] == pytest.approx(default.embed(images[1:2])[0], abs=1e-5)
    # Relu6 before the mean.
    assert (together.min(), together.max() <= 6) == (0, True)
    cosine = together[0] @ together[1] / np.linalg.norm(together[0]) / np.linalg.norm(together[1])
    assert cosine < 0.9
    assert default.embed([]).shape == (0, 1280)


def test_vectors_of_other_precision_are_told_apart(default: Classifier) -> None:
    assert default.embedding is not None
    assert default.embedding.space == vector_space(default.spec, "float32")


_EMBEDDING = '[input]\ntensor = "image:0"\n[output]\ntensor = "shares:0"\nembedding = "vector:0"\n'


@pytest.mark.parametrize("shape", [[None, SIZE, SIZE, 3], [4, SIZE, SIZE, 3], [SIZE, SIZE, 3]])
def test_vectors_come_in_whatever_batch_a_graph_takes(
    tmp_path: Path, load: Callable[..., Classifier], shape: list[int | None]
) -> None:
    def graph() -> None:
        image = tf.compat.v1.placeholder(tf.float32, shape, name="image")
        batched = image if len(shape) == 4 else image[None]
        vector = tf.reduce_mean(batched, [1, 2], keepdims=True, name="vector")
        tf.nn.softmax(vector[:, 0, 0, :], name="shares")

    classifier = load(write_model(tmp_path / "m" / "1", graph, _EMBEDDING))
    classifier.warm_up()
    images = [
        classifier.prepare(picture(colour), _LIMITS) for colour in ("red", "blue", "white", "red", "red")
    ]
    wanted = [[1, 0, 0], [0, 0, 1], [1, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert classifier.embed(images) == pytest.approx(np.array(wanted), abs=1e-6)


class Featured(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """Gives a vector beside the shares."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = tf.Variable(10.0)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="picture")])  # type: ignore[untyped-decorator] # as above
    def shares(self, picture: Any) -> Any:
        vector = tf.reduce_mean(picture, [1, 2])
        return {"shares": tf.nn.softmax(vector * self.sharpness), "vector": vector}


def test_a_saved_models_output_may_be_its_embedding(tmp_path: Path, load: Callable[..., Classifier]) -> None:
    module, folder = Featured(), tmp_path / "m" / "1"
    tf.saved_model.save(module, str(folder), signatures=module.shares)
    write_labels(folder)
    (folder / "model.toml").write_text(
        '[input]\nstd = 255\n[output]\ntensor = "shares"\nembedding = "vector"\n'
    )
    classifier = load(folder.parent)
    assert classifier.form == "a SavedModel, frozen"
    prepared = classifier.prepare(picture("red"), _LIMITS)
    assert classifier.embed([prepared]).tolist() == [[1, 0, 0]]
    assert classifier.top(classifier.run([prepared])[0], 1)[0][0] == "red"
