"""Image models of all layouts and types get the pixels that they expect."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.graphs import SIZE, write_graph, write_saved_model
from tests.support.pictures import COLOURS, picture
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.model import ModelError, find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

_LIMITS = ImageLimits()
Load = Callable[..., Classifier]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    loaded: list[Classifier] = []

    def load(
        shape: Any, dtype: Any, body: Callable[[Any], Any], toml: str = "[input]\nstd = 255\n"
    ) -> Classifier:
        def build() -> None:
            image = tf.compat.v1.placeholder(dtype, shape, name="image")
            tf.identity(body(image), name="out")

        write_graph(tmp_path / "m" / "1" / "graph.pb", build)
        (tmp_path / "m" / "1" / "model.toml").write_text(toml)
        loaded.append(Classifier.load(find_model(tmp_path / "m"), cpus=1))
        loaded[-1].warm_up((1, 2))
        return loaded[-1]

    yield load
    for classifier in loaded:
        classifier.close()


def _answer(classifier: Classifier, colour: str) -> list[float]:
    (row,) = classifier.run([classifier.prepare(picture(colour), _LIMITS)])
    return [round(float(value), 3) for value in row]


def _mean(axes: list[int]) -> Callable[[Any], Any]:
    return lambda image: tf.cast(tf.reduce_mean(tf.cast(image, tf.float32), axes), tf.float32)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16, tf.float64])
def test_floats_of_any_width_are_fed(load: Load, dtype: Any) -> None:
    classifier = load([None, SIZE, SIZE, 3], dtype, _mean([1, 2]))
    assert _answer(classifier, "red") == [1, 0, 0]


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int32, tf.int64, tf.uint16])
def test_whole_numbers_are_bytes(load: Load, dtype: Any) -> None:
    classifier = load([None, SIZE, SIZE, 3], dtype, _mean([1, 2]), "")
    assert _answer(classifier, "blue") == [0, 0, 255]


def test_channels_may_come_first(load: Load) -> None:
    classifier = load([None, 3, SIZE, SIZE], tf.float32, _mean([2, 3]))
    assert [_answer(classifier, colour).index(1) for colour in ("red", "blue")] == [0, 2]


def test_one_channel_is_grey(load: Load) -> None:
    classifier = load([None, SIZE, SIZE, 1], tf.float32, lambda image: tf.tile(_mean([1, 2])(image), [1, 2]))
    assert _answer(classifier, "white") == [1, 1]
    # The weights of ITU-R 601: 0.299, 0.587 and 0.114.
    assert _answer(classifier, "red") == [pytest.approx(0.299, abs=0.003)] * 2


def test_a_fourth_channel_is_opaque(load: Load) -> None:
    classifier = load([None, SIZE, SIZE, 4], tf.float32, _mean([1, 2]))
    assert _answer(classifier, "blue") == [0, 0, 1, 1]


def test_bgr_leaves_alpha_where_it_is(load: Load) -> None:
    toml = '[input]\nstd = 255\nchannels = "bgr"\n'
    classifier = load([None, SIZE, SIZE, 4], tf.float32, _mean([1, 2]), toml)
    assert _answer(classifier, "red") == [0, 0, 1, 1]


def test_a_graph_may_take_one_image_without_a_batch(load: Load) -> None:
    classifier = load([SIZE, SIZE, 3], tf.float32, _mean([0, 1]))
    rows = classifier.run([classifier.prepare(picture(colour), _LIMITS) for colour in COLOURS])
    assert [int(row.argmax()) for row in rows] == [0, 1, 2]


def test_a_graph_that_scales_gets_bytes_without_being_told(load: Load) -> None:
    classifier = load([None, SIZE, SIZE, 3], tf.float32, lambda image: _mean([1, 2])(image / 255.0), "")
    assert _answer(classifier, "red") == [1, 0, 0]


def test_float_pixels_of_unknown_scale_are_refused(load: Load) -> None:
    with pytest.raises(ModelError, match=r"set mean = 0 and std = 255 in \[input\] of .*model.toml"):
        load([None, SIZE, SIZE, 3], tf.float32, _mean([1, 2]), "")


def test_a_mean_needs_a_number_for_each_channel(load: Load) -> None:
    with pytest.raises(ModelError, match=r"input.mean in .* has 3 numbers, and the images 1 channels"):
        load([None, SIZE, SIZE, 1], tf.float32, _mean([1, 2]), "[input]\nmean = [1, 2, 3]\n")


def test_images_that_change_each_other_run_one_by_one(load: Load) -> None:
    def body(image: Any) -> Any:
        means = _mean([1, 2])(image)
        return means - tf.reduce_mean(means, 0) + means

    classifier = load([None, SIZE, SIZE, 3], tf.float32, body)
    assert classifier.batch_sizes == (1,)
    rows = classifier.run([classifier.prepare(picture(colour), _LIMITS) for colour in ("red", "blue")])
    np.testing.assert_allclose(rows, [[1, 0, 0], [0, 0, 1]], atol=1e-6)


def test_logits_are_scores_and_a_softmax_is_not(load: Load) -> None:
    assert not load([None, SIZE, SIZE, 3], tf.float32, _mean([1, 2])).scores.probabilities
    softmax = load([None, SIZE, SIZE, 3], tf.float32, lambda image: tf.nn.softmax(_mean([1, 2])(image)))
    assert softmax.scores.probabilities
    by_hand = load(
        [None, SIZE, SIZE, 3],
        tf.float32,
        lambda image: (exp := tf.exp(_mean([1, 2])(image))) / tf.reduce_sum(exp, 1, keepdims=True),
    )
    assert by_hand.scores.probabilities


def test_labels_may_be_numbers_or_assets(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "m" / "1")
    spec = find_model(folder, input_std=255)
    for labels, source in ((("0", "1", "2"), "the default"), (COLOURS, "the model's assets")):
        classifier = Classifier.load(spec, cpus=1)
        assert (classifier.labels, classifier.labels_source) == (labels, source)
        classifier.close()
        (folder / "assets").mkdir(exist_ok=True)
        (folder / "assets" / "labels.txt").write_text("\n".join(COLOURS))
