"""Small models that take no images, written with TensorFlow alone: their answers can be told by heart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.graphs import write_graph
from tfleet.worker.model.tensorflow import tf

_Spec = tf.TensorSpec
_ECHOED = (
    *(tf.bool, tf.uint8, tf.uint16, tf.uint32, tf.uint64, tf.int8, tf.int16, tf.int32, tf.int64),
    *(tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.string),
)


class Arithmetic(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """Several signatures: rows of numbers, a scalar, and rows of all sorts of types."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(3.0)

    @tf.function(input_signature=[_Spec([None], tf.float32, "a"), _Spec([None], tf.float32, "b")])  # type: ignore[untyped-decorator] # as above
    def add(self, a: Any, b: Any) -> Any:
        return {"sum": a + b, "diff": a - b}

    @tf.function(input_signature=[_Spec([], tf.float32, "x")])  # type: ignore[untyped-decorator] # as above
    def scalar(self, x: Any) -> Any:
        return {"y": x * self.weight}

    @tf.function(  # type: ignore[untyped-decorator] # as above
        input_signature=[
            _Spec([None, 2], tf.float16, "half"),
            _Spec([None, 2], tf.bfloat16, "brain"),
            _Spec([None], tf.int64, "whole"),
            _Spec([None], tf.bool, "flag"),
            _Spec([None], tf.string, "word"),
        ]
    )
    def mixed(self, half: Any, brain: Any, whole: Any, flag: Any, word: Any) -> Any:
        return {
            "half": half * 2,
            "brain": brain * 2,
            "whole": whole + 1,
            "flag": tf.logical_not(flag),
            "word": word + "!",
        }


class Vocabulary(tf.Module):  # type: ignore[misc] # as above
    """A word in, its number in a table out; the table can't be frozen."""

    def __init__(self) -> None:
        super().__init__()
        rows = tf.lookup.KeyValueTensorInitializer(["good", "bad"], tf.constant([1, 2], tf.int64))
        self.table = tf.lookup.StaticHashTable(rows, 0)

    @tf.function(input_signature=[_Spec([None, 1], tf.string, "text")])  # type: ignore[untyped-decorator] # as above
    def number(self, text: Any) -> Any:
        return {"number": self.table.lookup(tf.squeeze(text, 1))}


class Counter(tf.Module):  # type: ignore[misc] # as above
    """Each run adds its input to a variable; `peek` only reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.total = tf.Variable(0.0)

    @tf.function(input_signature=[_Spec([None], tf.float32, "x")])  # type: ignore[untyped-decorator] # as above
    def count(self, x: Any) -> Any:
        return {"total": self.total.assign_add(tf.reduce_sum(x))}

    @tf.function(input_signature=[_Spec([], tf.float32, "x")])  # type: ignore[untyped-decorator] # as above
    def peek(self, x: Any) -> Any:
        return {"total": x * 0.0 + self.total}


def write_arithmetic(folder: Path) -> Path:
    module = Arithmetic()
    signatures = {"serving_default": module.add, "scalar": module.scalar, "mixed": module.mixed}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def write_vocabulary(folder: Path) -> Path:
    module = Vocabulary()
    tf.saved_model.save(module, str(folder), signatures=module.number)
    return folder


def write_counter(folder: Path) -> Path:
    module = Counter()
    signatures = {"serving_default": module.count, "peek": module.peek}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


@contextlib.contextmanager
def _loops_of_tensorflow_1() -> Iterator[None]:
    tf.compat.v1.disable_control_flow_v2()
    try:
        yield
    finally:
        tf.compat.v1.enable_control_flow_v2()


def loop_graph() -> None:
    """A loop of TensorFlow 1: `x` doubled `times` times is `doubled`; `noise` is fed or 0."""
    with _loops_of_tensorflow_1():
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        times = tf.compat.v1.placeholder(tf.int32, [], name="times")
        noise = tf.compat.v1.placeholder_with_default(0.0, [], name="noise")
        _, result = tf.while_loop(lambda n, _: n < times, lambda n, v: (n + 1, v * 2), (0, x))
        tf.add(result, noise, name="doubled")


def write_loop(path: Path) -> Path:
    return write_graph(path, loop_graph)


class Product(tf.Module):  # type: ignore[misc] # as above
    """Rows of one number, each times the model's own."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = tf.constant(factor)

    @tf.function(input_signature=[_Spec([None], tf.float32, "x")])  # type: ignore[untyped-decorator] # as above
    def times(self, x: Any) -> Any:
        return {"y": x * self.factor}


def write_version(folder: Path) -> Path:
    """A model whose answers are its input times its version, which is the folder's name."""
    module = Product(float(folder.name))
    tf.saved_model.save(module, str(folder), signatures=module.times)
    return folder


class Ads(tf.Module):  # type: ignore[misc] # as above
    """Parses tf.Example, and answers what it has read as classes and scores."""

    @tf.function(input_signature=[_Spec([None], tf.string, "inputs")])  # type: ignore[untyped-decorator] # as above
    def scores(self, inputs: Any) -> Any:
        features = {
            "age": tf.io.FixedLenFeature([2], tf.int64),
            "price": tf.io.FixedLenFeature([], tf.float32),
            "site": tf.io.FixedLenFeature([], tf.string),
        }
        read = tf.io.parse_example(inputs, features)
        age = tf.reduce_sum(read["age"], axis=1)
        classes = tf.stack([read["site"], tf.strings.as_string(age)], axis=1)
        return {"classes": classes, "scores": tf.stack([read["price"], tf.cast(age, tf.float32)], axis=1)}


def write_examples_model(folder: Path) -> Path:
    module = Ads()
    tf.saved_model.save(module, str(folder), signatures={"scores": module.scores})
    return folder


def write_echo(folder: Path) -> Path:
    """A model that answers each input as it came, of every dtype that the Open Inference Protocol has."""

    @tf.function  # type: ignore[untyped-decorator] # as above
    def echo(**inputs: Any) -> Any:
        return {name: tf.identity(value) for name, value in inputs.items()}

    inputs = {each.name: _Spec([None, 2], each, each.name) for each in _ECHOED}
    module = tf.Module()
    tf.saved_model.save(module, str(folder), signatures=echo.get_concrete_function(**inputs))
    return folder
