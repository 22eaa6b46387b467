"""What is found of the features that an input parses."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tfleet.contract.example_values import ShownExample
from tfleet.worker.model.parsed_examples import MOST_VALUES, with_examples
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

FEATURES = {
    "age": tf.io.FixedLenFeature([2], tf.int64),
    "price": tf.io.FixedLenFeature([], tf.float32, default_value=1.5),
    "site": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
    "words": tf.io.VarLenFeature(tf.string),
}


def first_form(texts: Any) -> Any:
    """The operation of TensorFlow 1, which has an input for each key."""
    return tf.raw_ops.ParseExample(
        serialized=texts,
        names=tf.constant([], tf.string),
        sparse_keys=["words"],
        dense_keys=["age", "price"],
        dense_defaults=[tf.constant([], tf.int64), tf.constant([0.5])],
        sparse_types=[tf.string],
        dense_shapes=[[2], [1]],
    ).dense_values


def found(parse: Any, shape: Any = (None,)) -> ShownExample | None:
    with tf.Graph().as_default() as graph:
        texts = tf.compat.v1.placeholder(tf.string, shape, name="texts")
        parse(texts)
    signature = Signature("s", (TensorInfo("inputs", "texts:0", "string", shape),), ())
    return with_examples(graph.as_graph_def(), signature).inputs[0].tf_example


def read(example: ShownExample) -> dict[str, Any]:
    parsed = tf.train.Example.FromString(base64.b64decode(example.b64))
    return {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in parsed.features.feature.items()
    }


def test_features_of_a_stated_size_are_found() -> None:
    example = found(lambda texts: tf.io.parse_example(texts, FEATURES))
    assert example is not None
    assert dict(example.features) == {"age": (1, 1), "price": (0.5,), "site": ("some text",)}
    assert read(example) == {"age": [1, 1], "price": [0.5], "site": [b"some text"]}


def test_the_operation_of_tensorflow_1_is_read() -> None:
    example = found(lambda texts: first_form(tf.reshape(texts, [-1])), None)
    assert example is not None
    assert read(example) == {"age": [1, 1], "price": [0.5]}


def test_an_operation_in_a_function_is_found() -> None:
    inner = tf.function(lambda texts: tf.io.parse_example(texts, FEATURES)["age"])
    example = found(tf.function(lambda texts: inner(tf.identity(texts))))
    assert example is not None
    assert set(read(example)) == {"age", "price", "site"}


@pytest.mark.parametrize(
    "parse",
    [
        tf.strings.length,
        tf.identity,
        lambda texts: tf.io.parse_example(texts, {"x": tf.io.FixedLenFeature([MOST_VALUES + 1], tf.int64)}),
        lambda texts: tf.io.parse_example(texts, {"x" * 9000: tf.io.FixedLenFeature([], tf.int64)}),
        lambda texts: first_form(tf.strings.lower(texts)),
    ],
)
def test_other_texts_have_no_example(parse: Any) -> None:
    assert found(parse) is None
