"""What SavedModels made of Keras files answer, in a session as a worker has it, beside Keras' own answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfleet.worker.model import state
from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.saved_model_proto import read_saved_model
from tfleet.worker.model.signature import DEFAULT_SIGNATURE, read_signature
from tfleet.worker.model.tensorflow import tf

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

FILES = [
    *(
        f"{name}.{form}"
        for name in ("columns", "dicts", "sequence", "picture", "table")
        for form in ("keras", "h5")
    ),
    *(
        f"{name}.{form}"
        for name in ("two_inputs", "state", "bfloat16", "float16")
        for form in ("keras", "h5")
    ),
    "text.keras",
    "numbers.keras",
    "old_lstm.h5",
    "old_picture.h5",
]


def answers(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = read_signature(DEFAULT_SIGNATURE, meta_graph.signature_def[DEFAULT_SIGNATURE])
        assert {info.name for info in signature.inputs} == values.keys()
        feeds = {info.tensor: values[info.name].astype(numpy_dtype(info.dtype)) for info in signature.inputs}
        answer: dict[str, Any] = session.run({info.name: info.tensor for info in signature.outputs}, feeds)
        return answer


@pytest.mark.parametrize("name", FILES)
def test_the_answers_are_keras_own(keras_models: Path, name: str) -> None:
    with np.load(keras_models / f"{name.partition('.')[0]}.npz", allow_pickle=True) as golden:
        values = {key[3:]: golden[key] for key in golden if key.startswith("in:")}
        expected = {key[4:]: golden[key] for key in golden if key.startswith("out:")}
    found = answers(keras_models / f"{name}.saved", values)
    # Several outputs without names of their own have those of their layers, in this order.
    names = sorted(found) if "0" in expected else sorted(expected)
    assert len(found) == len(expected)
    rtol, atol = (3e-2, 1e-2) if "float16" in name else (1e-4, 1e-5)
    for (_, value), own in zip(sorted(expected.items()), names, strict=True):
        np.testing.assert_allclose(found[own].astype(np.float64), value, rtol, atol)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("table.keras", "G float32[?, 10]", "p float32[?, 1]"),
        ("table.h5", "G float32[?, 10]", "p float32[?, 1]"),
        ("dicts.keras", "input 1 float32[?, 2], z float32[?, 2]", "box float32[?, 2], kind float32[?, 4]"),
        (
            "sequence.keras",
            "chars int32[?, ?]",
            "lstm float32[?, 8], lstm_1 float32[?, 8], lstm_2 float32[?, 8]",
        ),
        ("picture.keras", "image uint8[?, 16, 16, 3]", "p float32[?, 5]"),
        ("text.keras", "text string[?, 1]", "sentiment float32[?, 2]"),
        ("numbers.keras", "word string[?]", "index int64[?]"),
        ("bfloat16.keras", "x bfloat16[?, 4]", "y bfloat16[?, 2]"),
        ("state.keras", "steps float32[1, 3, 2]", "y float32[1, 4]"),
        ("old_picture.h5", "conv_input float32[?, 8, 8, 2]", "y float32[?, 3]"),
    ],
)
def test_names_types_and_shapes_are_the_models_own(
    keras_models: Path, name: str, inputs: str, outputs: str
) -> None:
    folder = keras_models / f"{name}.saved"
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
    signature = read_signature(DEFAULT_SIGNATURE, meta_graph.signature_def[DEFAULT_SIGNATURE])
    assert ", ".join(map(str, signature.inputs)) == inputs
    assert ", ".join(map(str, signature.outputs)) == outputs


def test_there_is_one_signature(keras_models: Path) -> None:
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta_graph = tf.compat.v1.saved_model.load(
            session, ["serve"], str(keras_models / "table.keras.saved")
        )
    assert set(meta_graph.signature_def) - {"__saved_model_init_op"} == {DEFAULT_SIGNATURE}


@pytest.mark.parametrize(
    ("name", "kept"), [("sequence.keras", ""), ("sequence.h5", ""), ("state.keras", "AssignVariableOp")]
)
def test_only_a_model_with_state_keeps_state(keras_models: Path, name: str, kept: str) -> None:
    (meta_graph,) = read_saved_model(keras_models / f"{name}.saved")
    signature = meta_graph.signatures[DEFAULT_SIGNATURE]
    feeds = [info.tensor for info in signature.inputs]
    fetches = [info.tensor for info in signature.outputs]
    assert state.assignment(meta_graph.definition.graph_def, feeds, fetches) == kept
