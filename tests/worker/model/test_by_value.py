"""Which signatures take tensors of any shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tensor_models import write_arithmetic, write_counter, write_vocabulary
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.model.by_value import computes_by_value
from tfleet.worker.model.find import find_model
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

X, Y = TensorInfo("x", "x:0", "float32", (None, 1)), TensorInfo("y", "y:0", "float32", (None, 1))


@pytest.mark.parametrize(
    ("compute", "by_value"),
    [
        (lambda x: x * 0.5 + 2.0, True),
        (lambda x: tf.nn.relu(tf.cast(tf.cast(x, tf.float64), tf.float32)), True),
        (lambda x: x, True),
        (lambda x: x + tf.constant([[1.0]]), True),
        (lambda x: x + tf.constant([[1.0, 2.0]]), False),
        (lambda x: tf.matmul(x, [[2.0]]), False),
        (lambda x: x + tf.reduce_sum(x), False),
        (tf.nn.softmax, False),
        (lambda x: tf.reshape(x, [-1]) * 2.0, False),
        (lambda x: x + tf.random.uniform([1]), False),
    ],
)
def test_only_operations_on_single_values_take_any_shape(
    compute: Callable[[Any], Any], by_value: bool
) -> None:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 1], name="x")
        tf.identity(compute(x), name="y")
    assert computes_by_value(graph.as_graph_def(), Signature("s", (X,), (Y,))) is by_value


def test_what_makes_an_input_does_not_matter() -> None:
    with tf.Graph().as_default() as graph:
        texts = tf.compat.v1.placeholder(tf.string, [None], name="texts")
        x = tf.identity(tf.strings.to_number(tf.strings.substr(texts, 0, 3)), name="x")
        tf.multiply(x, 2.0, name="y")
    assert computes_by_value(graph.as_graph_def(), Signature("s", (X,), (Y,)))
    whole = Signature("s", (TensorInfo("texts", "texts:0", "string", (None,)),), (Y,))
    assert not computes_by_value(graph.as_graph_def(), whole)


def test_a_composite_tensor_takes_no_other_shape() -> None:
    composite = TensorInfo("x", "", "float32", None)
    assert not computes_by_value(tf.Graph().as_graph_def(), Signature("s", (composite,), (Y,)))


@pytest.mark.parametrize(
    ("write", "by_value"),
    [
        (write_arithmetic, {"serving_default": True, "scalar": True, "mixed": True}),
        (write_vocabulary, {"serving_default": False}),
        (write_counter, {"serving_default": False, "peek": True}),
    ],
)
def test_functions_and_variables_are_followed(
    write: Callable[[Path], Path], by_value: dict[str, bool], tmp_path: Path
) -> None:
    session = ModelSession.load(find_model(write(tmp_path / "1")), cpus=1)
    found = {name: each.by_value for name, each in session.signatures.items()}
    session.close()
    assert found == by_value
