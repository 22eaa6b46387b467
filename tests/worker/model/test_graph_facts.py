"""What a graph does right behind its input, and right before its output, is read from the graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphs import decoding_graph, write_saved_model
from tfleet.worker.model.graph import restore_saved_model
from tfleet.worker.model.graph_facts import GraphFacts, PixelRange, graph_facts
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _facts(build: Callable[[Any], Any], dtype: Any = tf.float32, shape: Any = (None, 8, 8, 3)) -> GraphFacts:
    with tf.Graph().as_default() as graph:
        tf.identity(build(tf.compat.v1.placeholder(dtype, shape, name="x")), name="y")
    return _facts_of(graph, "x", "y", dtype.name)


def _facts_of(graph: Any, x: str, y: str, dtype: str) -> GraphFacts:
    info = TensorInfo("x", f"{x}:0", dtype, None)
    return graph_facts(
        graph.as_graph_def(), Signature("s", (info,), (TensorInfo("y", f"{y}:0", "float32", None),))
    )


def _in_a_function(body: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """As a SavedModel of TensorFlow 2 has it: a function that calls a function."""
    inner = tf.function(body)
    return tf.function(lambda x: inner(tf.identity(x)))  # type: ignore[no-any-return] # TensorFlow has no types


def _conv(x: Any) -> Any:
    return tf.nn.conv2d(x, tf.ones([3, 3, 3, 3]), 1, "SAME")


@pytest.mark.parametrize("wrap", [lambda body: body, _in_a_function])
@pytest.mark.parametrize(
    ("scale", "pixels"),
    [
        (lambda x: x, None),
        (lambda x: x / 255.0, PixelRange.BYTES),
        (lambda x: x * (1 / 127.5) - 1.0, PixelRange.BYTES),
        (lambda x: tf.image.resize(x, [4, 4]) / 255.0, PixelRange.BYTES),
        (lambda x: x - [123.7, 116.8, 103.9], PixelRange.BYTES),
        (lambda x: (x - [123.7, 116.8, 103.9]) / [58.4, 57.1, 57.4], PixelRange.BYTES),
        (lambda x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], PixelRange.UNIT),
        (lambda x: x * 2.0 - 1.0, PixelRange.UNIT),
        (lambda x: x * 255.0, PixelRange.UNIT),
        (lambda x: x * 255.0 - [123.7, 116.8, 103.9], PixelRange.UNIT),
        (lambda x: (x - 0.2) / 1.1, None),
        (lambda x: (x - [0.03, 0.05, 0.02]) / 0.5, None),
        (lambda x: x - [0.485, 0.456, 0.406], None),
        (lambda x: x * -2.0 + 1.0, None),
        (lambda x: x * 2.0, None),
        (lambda x: x * tf.random.uniform([]), None),
        (lambda x: 1.0 - x, None),
        (lambda x: _conv(x) / 255.0, None),
        (lambda x: tf.concat([x / 255.0, x], 0), None),
    ],
)
def test_the_first_operations_tell_the_pixels(wrap: Any, scale: Any, pixels: PixelRange | None) -> None:
    assert _facts(wrap(lambda x: _conv(scale(x)))).pixels == pixels


@pytest.mark.parametrize("wrap", [lambda body: body, _in_a_function])
@pytest.mark.parametrize(
    ("end", "activation"),
    [
        (tf.nn.softmax, "softmax"),
        (tf.nn.sigmoid, "sigmoid"),
        (lambda x: tf.cast(tf.reshape(tf.nn.softmax(x), [-1, 3]), tf.float64), "softmax"),
        (lambda x: tf.nn.softmax(x) * 2.0, None),
        (lambda x: x, None),
        (tf.nn.relu, None),
    ],
)
def test_the_last_operation_is_the_activation(wrap: Any, end: Any, activation: str | None) -> None:
    assert _facts(wrap(lambda x: end(tf.reduce_mean(x, [1, 2])))).activation == activation


def _decoded(content: Any) -> Any:
    return tf.io.decode_image(content, channels=3, expand_animations=False)


def _each(body: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: tf.map_fn(body, x, fn_output_signature=tf.float32)


def _as_example(x: Any) -> Any:
    spec = {"image": tf.io.FixedLenFeature([], tf.string)}
    return _each(lambda content: tf.cast(_decoded(content), tf.float32))(
        tf.io.parse_example(x, spec)["image"]
    )


@pytest.mark.parametrize(
    ("build", "decodes", "parses"),
    [
        (_each(lambda content: tf.cast(_decoded(content), tf.float32)), True, False),
        (_in_a_function(_each(lambda content: tf.cast(tf.io.decode_jpeg(content), tf.float32))), True, False),
        (_each(lambda content: tf.cast(_decoded(tf.io.decode_base64(content)), tf.float32)), False, False),
        (_each(lambda name: tf.cast(_decoded(tf.io.read_file(name)), tf.float32)), False, False),
        (_as_example, False, True),
        (tf.strings.length, False, False),
    ],
)
def test_a_string_is_an_image_where_it_is_decoded(build: Any, decodes: bool, parses: bool) -> None:
    facts = _facts(build, tf.string, [None])
    assert (facts.decodes, facts.parses) == (decodes, parses)


def test_an_old_frozen_graph_is_followed_as_well() -> None:
    with tf.Graph().as_default() as graph:
        decoding_graph()
    facts = _facts_of(graph, "DecodeJpeg/contents", "final_result", "string")
    assert facts == GraphFacts(decodes=True, activation="softmax")


@pytest.mark.parametrize("of", ["of_pixels", "of_files"])
def test_a_saved_model_is_followed_through_its_functions(tmp_path: Path, of: str) -> None:
    folder = write_saved_model(tmp_path / "m", of=of)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        restored = restore_saved_model(session, folder)
        facts = graph_facts(session.graph.as_graph_def(), restored.signatures["serving_default"])
    assert facts == GraphFacts(decodes=of == "of_files", activation="softmax")
