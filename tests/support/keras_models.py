"""Makes seeded Keras models and converts them: `python -m tests.support.keras_models DIR`.

Each model NAME is written as DIR/NAME.keras and DIR/NAME.h5 where its form allows both. DIR/NAME.npz has an
input and what Keras itself answers to it, as `in:NAME` and `out:NAME`. Files in the form of Keras 2 are
Keras 3's own with another configuration. DIR/NAME.keras.saved and DIR/NAME.h5.saved are the SavedModels, made
as the converting process makes them; one process makes all, since Keras takes seconds to import.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")

import h5py
import keras
import numpy as np
from keras import layers

from tfleet.worker.model.keras import export
from tfleet.worker.model.keras.convert import Conversion, make_job
from tfleet.worker.model.keras.file import KerasFile, read_keras_file

Values = Mapping[str, Any]
RNG = np.random.default_rng(1)


def table() -> tuple[Any, Values]:
    row = keras.Input((10,), name="G")
    hidden = layers.Dropout(0.2)(layers.Dense(16, activation="relu")(row))
    model = keras.Model(row, layers.Dense(1, activation="sigmoid", name="p")(hidden))
    model.compile("adam", "binary_crossentropy")
    return model, {"G": RNG.random((3, 10), np.float32)}


def columns() -> tuple[Any, Values]:
    columns = [keras.Input((1,), name=name) for name in ("b", "a", "G10")]
    model = keras.Model(columns, layers.Dense(1, name="p")(layers.Concatenate()(columns)))
    return model, {name: RNG.random((3, 1), np.float32) for name in ("b", "a", "G10")}


def dicts() -> tuple[Any, Values]:
    """Dicts in and out, with a name that TensorFlow's functions cannot have."""
    inputs = {name: keras.Input((2,), name=name) for name in ("z", "input 1")}
    both = layers.Concatenate()([inputs["z"], inputs["input 1"]])
    model = keras.Model(
        inputs, {"kind": layers.Dense(4, activation="softmax")(both), "box": layers.Dense(2)(both)}
    )
    return model, {name: RNG.random((3, 2), np.float32) for name in inputs}


def text() -> tuple[Any, Values]:
    words = layers.TextVectorization(max_tokens=50, output_sequence_length=8)
    words.adapt(["the cat sat on the mat", "a dog ran in the park", "good film", "bad film"])
    line = keras.Input((1,), dtype="string", name="text")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(50, 8)(words(line)))
    model = keras.Model(line, layers.Dense(2, activation="softmax", name="sentiment")(mean))
    return model, {"text": np.array([[b"the good film"], [b"a bad dog"]], object)}


def sequence() -> tuple[Any, Values]:
    """Any length; one layer with three outputs."""
    chars = keras.Input((None,), dtype="int32", name="chars")
    # Keras draws the masks of its dropout in every run.
    states = layers.LSTM(8, return_state=True, dropout=0.2, recurrent_dropout=0.1, name="lstm")(
        layers.Embedding(20, 4)(chars)
    )
    model = keras.Model(chars, states)
    return model, {"chars": RNG.integers(0, 20, (2, 15)).astype(np.int32)}


def picture() -> tuple[Any, Values]:
    """Bytes in, scaled by the model; batch normalisation, a model within the model."""
    image = keras.Input((16, 16, 3), dtype="uint8", name="image")
    inner = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()])
    mean = layers.GlobalAveragePooling2D()(inner(layers.Rescaling(1 / 255.0)(image)))
    model = keras.Model(image, layers.Dense(5, activation="softmax", name="p")(mean))
    return model, {"image": RNG.integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)}


def two_inputs() -> tuple[Any, Values]:
    video, question = (
        keras.Input((4, 8, 8, 3), name="video"),
        keras.Input((6,), dtype="int64", name="question"),
    )
    frames = layers.TimeDistributed(layers.GlobalAveragePooling2D())(video)
    words = layers.Bidirectional(layers.GRU(4))(layers.Embedding(30, 4)(question))
    both = layers.Concatenate()([layers.LSTM(4)(frames), words])
    model = keras.Model([video, question], layers.Dense(3, name="answer")(both))
    values = {"video": RNG.random((1, 4, 8, 8, 3), np.float32), "question": RNG.integers(0, 30, (1, 6))}
    return model, values


def half(policy: str) -> Callable[[], tuple[Any, Values]]:
    def build() -> tuple[Any, Values]:
        dtype = keras.DTypePolicy(policy)
        row = keras.Input((4,), dtype=dtype.compute_dtype, name="x")
        hidden = layers.Dense(8, activation="relu", dtype=dtype)(row)
        model = keras.Model(row, layers.Dense(2, name="y", dtype=dtype)(hidden))
        return model, {"x": RNG.random((2, 4), np.float32)}

    return build


def state() -> tuple[Any, Values]:
    """Remembers what came before: the SavedModel has to begin like the file."""
    steps = keras.Input(batch_shape=(1, 3, 2), name="steps")
    model = keras.Model(steps, layers.LSTM(4, stateful=True, name="y")(steps))
    return model, {"steps": RNG.random((1, 3, 2), np.float32)}


def numbers() -> tuple[Any, Values]:
    """Scalars in, words looked up, integers out."""
    word = keras.Input((), dtype="string", name="word")
    found = layers.StringLookup(vocabulary=["cat", "dog"], name="index")(word)
    return keras.Model(word, found), {"word": np.array([b"dog", b"cow"], object)}


MODELS: Mapping[str, Callable[[], tuple[Any, Values]]] = {
    "table": table,
    "columns": columns,
    "dicts": dicts,
    "text": text,
    "sequence": sequence,
    "picture": picture,
    "two_inputs": two_inputs,
    "bfloat16": half("mixed_bfloat16"),
    "float16": half("float16"),
    "state": state,
    "numbers": numbers,
}
WITHOUT_H5 = {"text", "numbers"}  # Keras does not write their tables into HDF5 files


@keras.saving.register_keras_serializable("keras2")  # type: ignore[untyped-decorator] # Keras has no types
def old_hard_sigmoid(x: Any) -> Any:
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def old_lstm() -> tuple[Any, Values]:
    """A Keras 2 model of several layers, with the activation that Keras 3 computes differently."""
    steps = keras.Input((6, 4), name="steps")
    x = layers.LSTM(5, return_sequences=True, recurrent_activation=old_hard_sigmoid, name="lstm")(steps)
    x = layers.Bidirectional(
        layers.GRU(3, reset_after=False, recurrent_activation=old_hard_sigmoid), name="two"
    )(x)
    return keras.Model(steps, layers.Dense(2, activation=old_hard_sigmoid, name="y")(x)), {
        "steps": (4 * RNG.random((2, 6, 4)) - 2).astype(np.float32)
    }


def old_picture() -> tuple[Any, Values]:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2), name="conv_input"),
            layers.SeparableConv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.DepthwiseConv2D(2, name="depth"),
            layers.Conv2DTranspose(2, 2, name="up"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="y"),
        ]
    )
    return model, {"conv_input": RNG.random((2, 8, 8, 2), np.float32)}


def as_keras_2(config: dict[str, Any]) -> None:
    """Give a configuration the settings that Keras 2 wrote."""
    kept = config["config"]["layers"]
    for layer in kept:
        for each in (layer, *(layer["config"].get(key) for key in ("layer", "backward_layer"))):
            if each:
                _old_settings(each["class_name"], each["config"])
    if config["class_name"] == "Sequential":
        shape = kept[0]["config"]["batch_input_shape"]
        kept[1]["config"]["batch_input_shape"] = shape
        config["config"] = kept[1:]  # neither a name nor an input layer


def _old_settings(class_name: str, config: dict[str, Any]) -> None:
    config["dtype"] = config["dtype"] if isinstance(config.get("dtype"), str) else "float32"
    for key in ("activation", "recurrent_activation"):
        if isinstance(config.get(key), dict) or "hard_sigmoid" in str(config.get(key)):
            config[key] = "hard_sigmoid"
    if class_name == "InputLayer":
        config["batch_input_shape"] = config.pop("batch_shape")
    if class_name in {"LSTM", "GRU"}:
        config.update(time_major=False, implementation=1)
        config.pop("reset_after", None)
    if "Conv" in class_name:
        config["groups"] = 1
    if class_name in {"SeparableConv2D", "DepthwiseConv2D"}:
        config.update(kernel_initializer={"class_name": "Zeros", "config": {}}, kernel_regularizer=None)
    if class_name == "BatchNormalization":
        config["axis"] = [3]


CUSTOM_MODULE = "doubled_layers"
_CUSTOM_CODE = (
    "import keras\n\nclass Twice(keras.layers.Layer):\n    def call(self, x):\n        return x * 2\n"
)


def write_refused(folder: Path) -> None:
    """Models that are refused: a Lambda, a class from the module `doubled_layers` beside them, and a ragged
    output.
    """
    (folder / f"{CUSTOM_MODULE}.py").write_text(_CUSTOM_CODE)
    sys.path.insert(0, str(folder))
    twice = importlib.import_module(CUSTOM_MODULE).Twice(name="twice")
    ragged = layers.TextVectorization(vocabulary=["a"], ragged=True, name="words")
    line = keras.Input((1,), dtype="string", name="line")
    keras.Model(line, ragged(line)).save(folder / "ragged.keras")
    for name, layer in {"lambda": layers.Lambda(lambda x: x * 2, name="double"), "custom": twice}.items():
        row = keras.Input((2,), name="x")
        keras.Model(row, layer(row)).save(folder / f"{name}.keras")


def main(folder: Path) -> None:
    for number, (name, build) in enumerate(MODELS.items()):
        keras.utils.set_random_seed(number)
        model, values = build()
        write(folder, name, model, values, "keras", *(() if name in WITHOUT_H5 else ("h5",)))
    for name, build in {"old_lstm": old_lstm, "old_picture": old_picture}.items():
        model, values = build()
        write(folder, name, model, values, "h5")
        with h5py.File(folder / f"{name}.h5", "r+") as file:
            config = json.loads(file.attrs["model_config"])
            as_keras_2(config)
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"] = "2.2.4"
    files = sorted([*folder.glob("*.keras"), *folder.glob("*.h5")])
    write_refused(folder)
    for path in files:
        convert(path)


def write(folder: Path, name: str, model: Any, values: Values, *forms: str) -> None:
    for form in forms:  # before the answer: one model counts
        model.save(folder / f"{name}.{form}")
    tensors = {key: keras.ops.convert_to_tensor(value) for key, value in values.items()}
    as_dict = not isinstance(model, keras.Sequential) and isinstance(model.input, dict)
    several = list(tensors.values())
    answer = model(tensors if as_dict else several if len(several) > 1 else several[0], training=False)
    names = list(answer) if isinstance(answer, dict) else [f"{number}" for number in range(9)]
    outputs = answer.values() if isinstance(answer, dict) else keras.tree.flatten(answer)
    arrays = {f"in:{key}": value for key, value in values.items()}
    for key, value in zip(names, outputs, strict=False):
        arrays[f"out:{key}"] = np.asarray(value.numpy(), np.float64)
    np.savez(folder / f"{name}.npz", **arrays, allow_pickle=True)


def convert(path: Path) -> None:
    convert_here(read_keras_file(path), path.with_name(f"{path.name}.saved"), trust=False)


def convert_here(file: KerasFile, target: Path, *, trust: bool, **_: object) -> Conversion:
    """What the converting process does, in this one, which has Keras."""
    work = target.with_name(f"{target.name}.work")
    (work / "scratch").mkdir(parents=True)
    job = make_job(file, work, trust=trust)
    model = export.load(job)
    export.save(model, job)
    if not export.compare(model, job):
        raise AssertionError(f"{file.path}: no made-up input fits")
    job.target.rename(target)
    return Conversion(target, seconds=0, compared=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
