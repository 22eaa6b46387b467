"""Makes seeded models, and what they answer: `python -m tests.support.golden_models DIR`.

A model NAME is DIR/NAME/1 (a SavedModel, as Keras or TensorFlow itself exports it) and, where the format can
hold it, DIR/NAME.keras and DIR/NAME.h5, converted as `converted_models.py` says. An answer is
DIR/NAME@SIGNATURE.npz: inputs as `in:NAME`, and what Keras or Python computes as `out:NAME`. Nothing is
trained. A few more files are there to be refused. One process makes all, since Keras takes seconds to import.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.support.converted_models import convert_all

Values = Mapping[str, Any]
Made = tuple[Any, Values, tuple[str, ...]]
"""A Keras model, the values to ask it with, and the formats beside the SavedModel that can hold it."""

BOTH = ("keras", "h5")
RNG = np.random.default_rng(13)


def vector() -> Made:
    """A table whose ten columns are one input."""
    row = keras.Input((10,), name="G")
    hidden = layers.Dropout(0.2)(layers.Dense(24, activation="relu")(row))
    model = keras.Model(row, layers.Dense(1, activation="sigmoid", name="p")(hidden))
    return model, {"G": RNG.normal(size=(5, 10)).astype(np.float32)}, BOTH


def columns() -> Made:
    """A table of ten inputs by name; sorted by name, G10 comes before G2."""
    names = [f"G{number}" for number in range(1, 11)]
    inputs = [keras.Input((1,), name=name) for name in names]
    hidden = layers.Dense(12, activation="tanh")(layers.Concatenate()(inputs))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="p")(hidden))
    return model, {name: RNG.normal(size=(5, 1)).astype(np.float32) for name in names}, BOTH


def clip_and_question() -> Made:
    """Two inputs of different ranks and types."""
    clip = keras.Input((4, 12, 12, 3), name="clip")
    question = keras.Input((6,), dtype="int32", name="question")
    frame = keras.Sequential(
        [keras.Input((12, 12, 3)), layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    )
    seen = layers.LSTM(6)(layers.TimeDistributed(frame)(clip))
    asked = layers.LSTM(6)(layers.Embedding(40, 5)(question))
    answer = layers.Dense(7, activation="softmax", name="answer")(layers.Concatenate()([seen, asked]))
    values = {
        "clip": RNG.random((3, 4, 12, 12, 3), np.float32),
        "question": RNG.integers(0, 40, (3, 6)).astype(np.int32),
    }
    return keras.Model([clip, question], answer), values, BOTH


def characters() -> Made:
    """A sequence of any length."""
    chars = keras.Input((None,), dtype="int32", name="chars")
    read = layers.LSTM(12)(layers.Embedding(30, 6)(chars))
    model = keras.Model(chars, layers.Dense(30, activation="softmax", name="next")(read))
    return model, {"chars": RNG.integers(0, 30, (4, 17)).astype(np.int32)}, BOTH


def words() -> Made:
    """Strings, split and looked up in a table by the model. An .h5 file can't hold the table."""
    split = layers.TextVectorization(max_tokens=40, output_sequence_length=6)
    split.adapt(["rain and wind all day", "a clear sky", "wind from the north", "sun, then rain"])
    line = keras.Input((1,), dtype="string", name="line")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(40, 6)(split(line)))
    model = keras.Model(line, layers.Dense(3, activation="softmax", name="weather")(mean))
    lines = ["Rain, all day", "a clear north wind", "?", "grüße: 雨 and \"sun\", 'wind'"]
    return model, {"line": np.array([[each.encode()] for each in lines], object)}, ("keras",)


def bytes_scaled_inside() -> Made:
    """A uint8 image that the model scales itself."""
    image = keras.Input((16, 16, 3), dtype="uint8", name="image")
    mean = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3)(layers.Rescaling(1 / 127.5, -1)(image)))
    model = keras.Model(
        image, layers.Dense(5, activation="softmax", name="p", kernel_initializer=_wide(5))(mean)
    )
    return model, {"image": RNG.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)}, BOTH


def picture(units: int, activation: str | None, size: int, channels: int) -> Callable[[], Made]:
    """An image classifier with this output, for pixels divided by 255."""

    def build() -> Made:
        image = keras.Input((size, size, channels), name="image")
        mean = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(image))
        dense = layers.Dense(units, activation=activation, name="out", kernel_initializer=_wide(units))
        # Of whole pixels, so that a picture can be made of them.
        pixels = RNG.integers(0, 256, (3, size, size, channels)).astype(np.float32)
        return keras.Model(image, dense(mean)), {"image": pixels / np.float32(255)}, BOTH

    return build


def kind_and_box() -> Made:
    """Two outputs by name."""
    image = keras.Input((16, 16, 3), name="image")
    mean = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(image))
    outputs = {
        "kind": layers.Dense(4, activation="softmax", name="kind")(mean),
        "box": layers.Dense(4, name="box")(mean),
    }
    return keras.Model(image, outputs), {"image": RNG.random((3, 16, 16, 3), np.float32)}, BOTH


def _wide(seed: int) -> Any:
    """Weights that make the answers differ."""
    return keras.initializers.RandomNormal(0, 3, seed=seed)


KERAS_MODELS: Mapping[str, Callable[[], Made]] = {
    "vector": vector,
    "columns": columns,
    "clip_and_question": clip_and_question,
    "characters": characters,
    "words": words,
    "bytes_scaled_inside": bytes_scaled_inside,
    "logits": picture(5, None, 16, 3),
    "one_sigmoid": picture(1, "sigmoid", 16, 3),
    "grey_28": picture(10, "softmax", 28, 1),
    "kind_and_box": kind_and_box,
}


def _spec(shape: list[int | None], dtype: Any, name: str | None = None) -> Any:
    return tf.TensorSpec(shape, dtype, name)


class Several(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """Several signatures, made without Keras."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(2.5)

    def pair(self, a: Any, b: Any) -> Any:
        return {"sum": a + b, "difference": a - b}

    def scalar(self, x: Any) -> Any:
        return {"y": x * self.factor}

    def types(self, half: Any, whole: Any, flag: Any, word: Any) -> Any:
        return {
            "half": half * 2,
            "whole": whole + 1,
            "flag": tf.logical_not(flag),
            "word": tf.strings.join([word, "!"]),
            "digits": tf.strings.as_string(whole),
        }


SEVERAL: Mapping[str, tuple[Values, Values]] = {
    "serving_default": (
        {"a": np.array([1, 2, -0.5], np.float32), "b": np.array([10, 20, 0.25], np.float32)},
        {"sum": np.array([11, 22, -0.25]), "difference": np.array([-9, -18, -0.75])},
    ),
    "scalar": ({"x": np.float32(4)}, {"y": np.float32(10)}),
    "types": (
        {
            "half": np.array([[0.5, 1], [-2, 100]], np.float16),
            "whole": np.array([[2**53 + 1, -1], [0, 7]], np.int64),
            "flag": np.array([True, False]),
            "word": np.array([b"one", "zwölf".encode()], object),
        },
        {
            "half": np.array([[1, 2], [-4, 200]], np.float16),
            "whole": np.array([[2**53 + 2, 0], [1, 8]], np.int64),
            "flag": np.array([False, True]),
            "word": np.array([b"one!", "zwölf!".encode()], object),
            "digits": np.array([[b"9007199254740993", b"-1"], [b"0", b"7"]], object),
        },
    ),
}


def several(folder: Path) -> None:
    module = Several()
    pair = [_spec([None], tf.float32, "a"), _spec([None], tf.float32, "b")]
    types = [
        _spec([None, 2], tf.float16, "half"),
        _spec([None, 2], tf.int64, "whole"),
        _spec([None], tf.bool, "flag"),
        _spec([None], tf.string, "word"),
    ]
    signatures = {
        "serving_default": tf.function(module.pair, input_signature=pair),
        "scalar": tf.function(module.scalar, input_signature=[_spec([], tf.float32, "x")]),
        "types": tf.function(module.types, input_signature=types),
    }
    tf.saved_model.save(module, str(folder / "several" / "1"), signatures=signatures)
    for signature, (inputs, outputs) in SEVERAL.items():
        answer(folder, f"several@{signature}", inputs, outputs)


def no_signature(folder: Path) -> None:
    """A function that nobody named a signature; TensorFlow makes one of it."""
    module = tf.Module()
    module.f = tf.function(lambda x: x + 1, input_signature=[_spec([None], tf.float32)])
    tf.saved_model.save(module, str(folder / "no_signature" / "1"))
    values = np.array([1, 2.5], np.float32)
    answer(folder, "no_signature@serving_default", {"x": values}, {"output_0": values + 1})


def refused(folder: Path) -> None:
    """Files that can't be served as they are."""
    row = keras.Input((4,), name="row")
    model = keras.Model(row, layers.Dense(1)(layers.Lambda(lambda x: x * 2, name="double")(row)))
    model.save(folder / "lambda.h5")
    model.save(folder / "lambda.keras")
    model.save_weights(folder / "only.weights.h5")


def from_keras(folder: Path, name: str, made: Made) -> None:
    model, values, formats = made
    model.export(folder / name / "1", verbose=False)
    for form in formats:
        model.save(folder / f"{name}.{form}")
    tensors = [keras.ops.convert_to_tensor(values[tensor.name]) for tensor in model.inputs]
    found = model(tensors if len(tensors) > 1 else tensors[0], training=False)
    outputs = found if isinstance(found, dict) else {model.output_names[0]: found}
    answer(folder, f"{name}@serving_default", values, {key: value.numpy() for key, value in outputs.items()})


def answer(folder: Path, name: str, inputs: Values, outputs: Values) -> None:
    arrays = {f"in:{key}": value for key, value in inputs.items()}
    arrays |= {f"out:{key}": value for key, value in outputs.items()}
    np.savez(folder / f"{name}.npz", **arrays, allow_pickle=True)


def main(folder: Path) -> None:
    for seed, (name, build) in enumerate(KERAS_MODELS.items()):
        keras.utils.set_random_seed(seed)
        from_keras(folder, name, build())
    several(folder)
    no_signature(folder)
    refused(folder)
    convert_all(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
