"""One session answers everybody, each with the answer to their own image."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.graphs import (
    MANIFEST,
    SIZE,
    decoding_graph,
    pixel_graph,
    write_graph,
    write_model,
    write_saved_model,
)
from tests.support.photos import PHOTOS
from tests.support.pictures import COLOURS, picture, write_labels
from tfleet.worker.image.errors import BrokenImageError, ImageError
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.inference.session_config import configuration
from tfleet.worker.model import ModelError, find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


_LIMITS = ImageLimits()

# The best labels of the photographs and their probabilities, as the model's README.md has them.
_GOLDEN = {
    "cat": [("tiger cat", 0.380), ("Egyptian cat", 0.367), ("tabby", 0.175)],
    "coffee": [("espresso", 0.953), ("cup", 0.013)],
    "hopper": [("academic gown", 0.237), ("mortarboard", 0.202), ("military uniform", 0.184)],
    "rocket": [("missile", 0.301), ("projectile", 0.178), ("drilling platform", 0.102)],
}


class _Sessions:
    """Makes real sessions and remembers them."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.closed = 0

    def __call__(self, **options: Any) -> Any:
        session = tf.compat.v1.Session(**options)
        close = session.close

        def counted() -> None:
            self.closed += 1
            close()

        session.close = counted
        self.made.append(session)
        return session


class _Meeting:
    """Makes a session whose third run, and those after it until they are so many, wait for each other."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties)
        self._waits = iter([False, False, *[True] * parties])

    def __call__(self, **options: Any) -> Any:
        session = tf.compat.v1.Session(**options)
        run = session.run

        def met(*arguments: Any, **more: Any) -> Any:
            if next(self._waits, False):
                self._barrier.wait(10)
            return run(*arguments, **more)

        session.run = met
        return session


def _best(classifier: Classifier, image: bytes) -> str:
    (row,) = classifier.run([classifier.prepare(image, _LIMITS)])
    return classifier.top(row, 1)[0][0]


@pytest.mark.parametrize("photo", _GOLDEN)
def test_the_default_model_knows_the_photographs(default: Classifier, photo: str) -> None:
    (row,) = default.run([default.prepare(PHOTOS[photo].read_bytes(), _LIMITS)])
    assert row.sum() == pytest.approx(1, abs=1e-4)
    best = default.top(row, len(_GOLDEN[photo]))
    assert [label for label, _ in best] == [label for label, _ in _GOLDEN[photo]]
    # Half a percent leaves room for other builds of libjpeg and other processors, not for another crop.
    assert [p for _, p in best] == pytest.approx([p for _, p in _GOLDEN[photo]], abs=0.005)


@pytest.mark.parametrize("photo", ["cat", "hopper"])  # where the second best is close behind
def test_the_labels_hold_for_a_photograph_of_twelve_megapixels(default: Classifier, photo: str) -> None:
    """It is decoded at a quarter of each side; the same pixels as PNG are all decoded."""
    with Image.open(PHOTOS[photo]) as small:
        factor = 3000 / min(small.size)
        size = round(small.width * factor), round(small.height * factor)
        large = small.resize(size, Image.Resampling.LANCZOS)
    jpeg, png = io.BytesIO(), io.BytesIO()
    large.save(jpeg, "JPEG", quality=90)
    with Image.open(jpeg) as stored:
        stored.save(png, "PNG", compress_level=1)
    rows = default.run([default.prepare(each.getvalue(), _LIMITS) for each in (jpeg, png)])
    assert rows[0].argmax() == rows[1].argmax()
    np.testing.assert_allclose(rows[0], rows[1], atol=0.02)


def test_a_batch_gives_what_its_images_give_alone(default: Classifier) -> None:
    prepared = [default.prepare(path.read_bytes(), _LIMITS) for path in PHOTOS.values()]
    together = default.run(prepared)
    assert together.shape == (4, 1000)
    assert together.dtype == np.float32
    np.testing.assert_allclose(
        together, np.concatenate([default.run([each]) for each in prepared]), atol=1e-4
    )


def test_eight_threads_get_their_own_answers_of_one_session() -> None:
    sessions = _Sessions()
    classifier = Classifier.load(find_model(None), session_factory=sessions)
    classifier.warm_up()
    expected = {path: _GOLDEN[name][0][0] for name, path in PHOTOS.items()}
    start = threading.Barrier(8)

    def classify(number: int) -> list[tuple[str, str]]:
        start.wait()
        paths = list(expected)
        turns = [paths[(number + turn) % len(paths)] for turn in range(13)]
        return [(expected[path], _best(classifier, path.read_bytes())) for path in turns]

    with ThreadPoolExecutor(8) as pool:
        answers = [answer for answers in pool.map(classify, range(8)) for answer in answers]
    classifier.close()
    assert len(answers) > 100
    assert [got for _, got in answers] == [wanted for wanted, _ in answers]
    assert (len(sessions.made), sessions.closed) == (1, 1)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ([None, SIZE, SIZE, 3], tf.float32),
        ([1, SIZE, SIZE, 3], tf.float32),
        ([4, SIZE, SIZE, 3], tf.float32),
        ([None, SIZE, SIZE, 3], tf.uint8),
        ([1, SIZE, SIZE, 3], tf.uint8),
    ],
)
def test_graphs_of_pixels_run_whatever_batch_they_insist_on(
    tmp_path: Path, load: Callable[..., Classifier], shape: Any, dtype: Any
) -> None:
    classifier = load(write_model(tmp_path / "m" / "1", lambda: pixel_graph(shape, dtype)))
    assert classifier.warm_up() > 0
    colours = [*COLOURS, *reversed(COLOURS)]
    rows = classifier.run([classifier.prepare(picture(colour), _LIMITS) for colour in colours])
    assert [classifier.top(row, 1)[0][0] for row in rows] == colours


def test_a_decoding_graph_runs_by_its_options(tmp_path: Path, load: Callable[..., Classifier]) -> None:
    classifier = load(
        write_graph(tmp_path / "output_graph.pb", decoding_graph),
        labels=write_labels(tmp_path),
        input_layer="DecodeJpeg/contents:0",
        output_layer="final_result:0",
    )
    classifier.warm_up()
    for format_name in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        images = [classifier.prepare(picture(colour, format_name), _LIMITS) for colour in ("red", "blue")]
        assert [classifier.top(row, 1)[0][0] for row in classifier.run(images)] == ["red", "blue"]


def test_an_image_the_graph_cannot_decode_is_broken(tmp_path: Path, load: Callable[..., Classifier]) -> None:
    classifier = load(
        write_graph(tmp_path / "output_graph.pb", decoding_graph),
        labels=write_labels(tmp_path),
        input_layer="DecodeJpeg/contents",
        output_layer="final_result",
    )
    with pytest.raises(
        BrokenImageError, match="the model's own decoder rejects the image: Unknown image file"
    ):
        classifier.run([b"not an image"])
    assert _best(classifier, picture("green", "JPEG")) == "green"


def test_images_are_checked_for_a_graph_that_decodes_by_itself(
    tmp_path: Path, load: Callable[..., Classifier]
) -> None:
    classifier = load(
        write_graph(tmp_path / "g.pb", decoding_graph),
        labels=write_labels(tmp_path),
        input_layer="DecodeJpeg/contents",
        output_layer="final_result",
    )
    with pytest.raises(ImageError):
        classifier.prepare(b"text", _LIMITS)


@pytest.mark.parametrize("of", ["of_pixels", "of_files"])
def test_a_tensorflow_2_saved_model_runs_in_a_session(
    tmp_path: Path, load: Callable[..., Classifier], of: str
) -> None:
    folder = write_saved_model(tmp_path / "m" / "1", of=of)
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nstd = 255\n")
    classifier = load(folder.parent)
    classifier.warm_up()
    rows = classifier.run([classifier.prepare(picture(colour), _LIMITS) for colour in COLOURS])
    assert [classifier.top(row, 1)[0][0] for row in rows] == list(COLOURS)


def test_logits_get_their_softmax(tmp_path: Path, load: Callable[..., Classifier]) -> None:
    def build() -> None:
        image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
        tf.multiply(tf.reduce_mean(image, [1, 2]), 1000.0, name="shares")

    classifier = load(write_model(tmp_path / "m" / "1", build, MANIFEST + "logits = true\n"))
    (row,) = classifier.run([classifier.prepare(picture("green"), _LIMITS)])
    assert row.tolist() == [0, 1, 0]


def test_scaling_and_crop_are_those_of_the_description(
    tmp_path: Path, load: Callable[..., Classifier]
) -> None:
    scaled = MANIFEST.replace("[output]", "mean = [255, 0, 0]\nstd = [1, 255, 255]\ncrop = 0.5\n[output]")
    classifier = load(write_model(tmp_path / "m" / "1", manifest=scaled))
    prepared = classifier.prepare(picture("white"), _LIMITS)
    assert isinstance(prepared, np.ndarray)
    assert prepared.shape == (SIZE, SIZE, 3)
    assert prepared[0, 0].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda x: x / 0.0, "shares:0 gives numbers that are not finite"),
        (lambda x: tf.tile(x, [2, 1]), r"shares:0 gives \[2, 3\] for one image, not \[1, classes\]"),
        (lambda x: tf.reshape(x, tf.constant([3, 1])[:: tf.size(x) - 2]), r"gives \[3, 1\] for one image"),
        (lambda x: tf.reshape(x, [-1]), "is not a row of probabilities"),
        (
            lambda x: tf.compat.v1.placeholder_with_default(tf.concat([x, x], 1), None),
            "has 6 classes .* 3 labels",
        ),
        (lambda x: tf.reshape(x, [7, -1]), "the graph does not run: .*7"),
        (lambda x: x * tf.Variable(1.0), "the graph does not run: .*[Uu]ninitialized|FailedPrecondition"),
    ],
)
def test_a_model_that_cannot_answer_is_not_served(
    tmp_path: Path, load: Callable[..., Classifier], build: Callable[[Any], Any], problem: str
) -> None:
    def graph() -> None:
        image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
        tf.identity(build(tf.reduce_mean(image, [1, 2])), name="shares")

    with pytest.raises(ModelError, match=problem):
        load(write_model(tmp_path / "m" / "1", graph)).warm_up()


def test_batch_sizes_are_chosen_from_the_warmed_up_ones(
    tmp_path: Path, load: Callable[..., Classifier]
) -> None:
    classifier = load(write_model(tmp_path / "m" / "1"))
    classifier.warm_up((1, 64))  # a graph so small that the call is all it costs: 64 at once always pay
    assert classifier.batch_sizes == (1, 64)


def test_a_false_batch_model_gets_one_image_at_a_time(
    tmp_path: Path, load: Callable[..., Classifier]
) -> None:
    def graph() -> None:
        image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
        tf.identity(tf.reshape(tf.reduce_mean(image, [1, 2]), [1, 3]), name="shares")

    classifier = load(write_model(tmp_path / "m" / "1", graph))
    classifier.warm_up((1, 2, 4))
    assert classifier.batch_sizes == (1,)
    images = [classifier.prepare(picture(colour), _LIMITS) for colour in ("red", "green", "blue")]
    assert [int(row.argmax()) for row in classifier.run(images)] == [0, 1, 2]


def test_small_scores_that_mix_run_one_by_one(tmp_path: Path, load: Callable[..., Classifier]) -> None:
    def graph() -> None:
        image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
        shares = tf.reduce_mean(image, [1, 2])
        tf.multiply(shares - tf.reduce_mean(shares, 0), 1e-3, name="shares")

    classifier = load(write_model(tmp_path / "m" / "1", graph))
    classifier.warm_up((1, 2, 4))
    assert classifier.batch_sizes == (1,)


def test_a_model_that_does_not_load_leaves_no_session_behind(tmp_path: Path) -> None:
    sessions = _Sessions()
    spec = find_model(write_model(tmp_path / "m" / "1", manifest=MANIFEST.replace("image", "nothing")))
    with pytest.raises(
        ModelError, match=r"has no tensor 'nothing:0' \(input.tensor in .*model.toml\); .* image:0"
    ):
        Classifier.load(spec, session_factory=sessions)
    assert len(sessions.made) == sessions.closed


def test_a_failed_saved_model_leaves_no_session(tmp_path: Path) -> None:
    sessions = _Sessions()
    folder = write_saved_model(tmp_path / "m" / "1", signature=False)
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nstd = 255\n")
    with pytest.raises(ModelError, match="has no signature: save it with signatures="):
        Classifier.load(find_model(folder), session_factory=sessions)
    assert (len(sessions.made), sessions.closed) == (1, 1)


def test_a_frozen_saved_model_leaves_one_session(tmp_path: Path) -> None:
    sessions = _Sessions()
    folder = write_saved_model(tmp_path / "m" / "1")
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nstd = 255\n")
    classifier = Classifier.load(find_model(folder), session_factory=sessions)
    assert classifier.form == "a SavedModel, frozen"
    assert (len(sessions.made), sessions.closed) == (2, 1)
    classifier.close()
    assert sessions.closed == 2


def test_the_options_reach_the_session(tmp_path: Path) -> None:
    sessions = _Sessions()
    spec = find_model(write_model(tmp_path / "m" / "1"))
    Classifier.load(spec, cpus=3, precision="bfloat16", session_factory=sessions).close()
    (session,) = sessions.made
    assert session._config == configuration(3, "bfloat16")  # TensorFlow shows it nowhere else


@pytest.mark.parametrize(("cpus", "lanes"), [(1, 1), (3, 2)])
def test_each_size_is_warmed_up_in_all_lanes_at_once(tmp_path: Path, cpus: int, lanes: int) -> None:
    spec = find_model(write_model(tmp_path / "m" / "1"))
    with closing(Classifier.load(spec, cpus=cpus, session_factory=_Meeting(lanes))) as classifier:
        classifier.warm_up()
        assert classifier.concurrent_runs == lanes


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    sessions = _Sessions()
    spec = find_model(write_model(tmp_path / "m" / "1"))
    classifier = Classifier.load(spec, session_factory=sessions)
    assert repr(classifier) == "Classifier(m/1, 3 classes, open)"
    classifier.close()
    classifier.close()
    assert sessions.closed == 1
    assert repr(classifier) == "Classifier(m/1, 3 classes, closed)"


def test_an_empty_batch_has_no_rows(default: Classifier) -> None:
    assert default.run([]).shape == (0, 1000)


@pytest.mark.parametrize(
    ("n", "labels"), [(0, []), (1, ["blue"]), (2, ["blue", "red"]), (9, ["blue", "red", "green"])]
)
def test_the_best_come_first_and_of_equals_the_first_class(
    tmp_path: Path, load: Callable[..., Classifier], n: int, labels: list[str]
) -> None:
    classifier = load(write_model(tmp_path / "m" / "1"))
    best = classifier.top(np.array([0.25, 0.25, 0.5], dtype=np.float32), n)
    assert [label for label, _ in best] == labels
    assert all(type(probability) is float for _, probability in best)
