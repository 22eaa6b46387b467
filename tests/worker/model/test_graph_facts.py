"""What a graph does right behind its input, and right before its output, is read from the graph."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphs import decoding_graph, write_saved_model
from tfleet.worker.model.function_calls import MAX_DEPTH, BadGraphError, check_calls
from tfleet.worker.model.graph import restore_saved_model
from tfleet.worker.model.graph_facts import GraphFacts, PixelRange, graph_facts
from tfleet.worker.model.saved_model_proto import new_message
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


def _functions(calls: Mapping[str, Sequence[str]], nodes: Sequence[str]) -> Any:
    """A GraphDef whose graph and functions call functions, one after the other, each with one tensor."""
    graph = new_message("GraphDef")
    graph.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    last = "x"
    for number, called in enumerate(nodes):
        last = _call(graph.node, f"n{number}", last, called)
    graph.node.add(name="y", op="Identity", input=[last])
    for name, callees in calls.items():
        function = graph.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="a")
        function.signature.output_arg.add(name="r")
        last = "a"
        for number, each in enumerate(callees):
            last = _call(function.node_def, f"n{number}", last, each) + ":output:0"
        function.ret["r"] = last
    return graph


def _call(nodes: Any, name: str, tensor: str, called: str) -> str:
    nodes.add(name=name, op="StatefulPartitionedCall", input=[tensor]).attr["f"].func.name = called
    return name


@pytest.mark.parametrize(
    ("calls", "circle"),
    [
        ({"A": ["A"]}, "'A' calls itself (A -> A)"),
        ({"A": ["B"], "B": ["A"]}, "'A' calls itself (A -> B -> A)"),
        ({"A": ["B"], "B": ["C", "B"], "C": []}, "'B' calls itself (B -> B)"),
        ({**{f"f{n}": [f"f{n + 1}"] for n in range(9)}, "f9": ["f0"], "A": ["f0"]}, "f0 -> f1 -> f2"),
    ],
)
def test_a_function_that_calls_itself_is_refused(calls: Mapping[str, Sequence[str]], circle: str) -> None:
    with pytest.raises(BadGraphError, match=re.escape(circle)):
        check_calls(_functions(calls, ["A"]))


def test_a_circle_that_nothing_calls_is_no_matter() -> None:
    check_calls(_functions({"A": ["A"], "B": []}, ["B"]))


def test_functions_may_nest_but_not_without_end() -> None:
    def chain(length: int) -> Any:
        return _functions({f"f{n}": [f"f{n + 1}"] if n < length else [] for n in range(length + 1)}, ["f0"])

    check_calls(chain(MAX_DEPTH - 1))
    assert _facts_of_definition(chain(MAX_DEPTH - 1)) == GraphFacts()
    for length in (MAX_DEPTH, 10_000):
        with pytest.raises(BadGraphError, match="more than 500 deep"):
            check_calls(chain(length))


def test_functions_that_each_call_two_are_given_up() -> None:
    doubling = {f"f{n}": [f"f{n + 1}"] * 2 for n in range(40)} | {"f40": []}
    check_calls(_functions(doubling, ["f0"]))
    with pytest.raises(BadGraphError, match="more than 20000 times"):
        _facts_of_definition(_functions(doubling, ["f0"]))


def test_a_long_chain_of_operations_is_followed() -> None:
    graph = new_message("GraphDef")
    graph.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    graph.node.add(name="n0", op="Softmax", input=["x"])
    for number in range(1, 10_001):
        graph.node.add(name=f"n{number}", op="Identity", input=[f"n{number - 1}"])
    graph.node.add(name="y", op="Identity", input=["n10000"])
    assert _facts_of_definition(graph).activation == "softmax"


def _facts_of_definition(definition: Any) -> GraphFacts:
    x, y = (TensorInfo(name, f"{name}:0", "float32", None) for name in "xy")
    return graph_facts(definition, Signature("s", (x,), (y,)))


def _conv_bias(x: Any, classes: int = 5) -> Any:
    return tf.nn.bias_add(tf.nn.conv2d(x, tf.ones([8, 8, 3, classes]), 1, "VALID"), tf.zeros([classes]))


@pytest.mark.parametrize(
    ("end", "activation"),
    [
        # Over the classes: [N, 1, 1, 5] to [N, 5].
        (lambda x: tf.squeeze(tf.nn.softmax(_conv_bias(x)), [1, 2]), "softmax"),
        (lambda x: tf.reshape(tf.nn.softmax(_conv_bias(x)), [-1, 5]), "softmax"),
        # As TensorFlow-Slim has it: flat, softmax, and the shape from before.
        (lambda x: _as_slim(tf.squeeze(_conv_bias(x), [1, 2])), "softmax"),
        (lambda x: tf.transpose(tf.transpose(tf.nn.softmax(_rows(x)), [1, 0]), [1, 0]), "softmax"),
        (lambda x: tf.expand_dims(tf.nn.softmax(_rows(x)), 1), "softmax"),
        # Over something else than the last dimension of the output.
        (lambda x: tf.transpose(tf.nn.softmax(tf.transpose(_rows(x), [1, 0])), [1, 0]), None),
        (lambda x: tf.reshape(tf.nn.softmax(x), [-1, 8 * 8 * 3]), None),
        (lambda x: tf.reshape(tf.nn.softmax(_rows(x)), [-1, 1]), None),
        (lambda x: tf.reshape(tf.nn.softmax(_rows(x)), [3, -1]), None),
        (lambda x: tf.expand_dims(tf.nn.softmax(_rows(x)), -1), None),
        (lambda x: tf.squeeze(tf.nn.softmax(_conv_bias(x, 1)), [-1]), None),
        (lambda x: tf.cast(tf.cast(tf.nn.softmax(_rows(x)), tf.int32), tf.float32), None),
        # A sigmoid is of each number, wherever that is.
        (lambda x: tf.reshape(tf.transpose(tf.nn.sigmoid(x), [0, 3, 1, 2]), [-1, 8 * 8 * 3]), "sigmoid"),
    ],
)
def test_a_softmax_is_only_that_of_the_classes(end: Any, activation: str | None) -> None:
    assert _facts(end).activation == activation
    assert _facts(_in_a_function(end)).activation == activation


def _rows(x: Any) -> Any:
    return tf.reduce_mean(x, [1, 2])


def _as_slim(logits: Any) -> Any:
    return tf.reshape(tf.nn.softmax(tf.reshape(logits, [-1, 5])), tf.shape(logits))
