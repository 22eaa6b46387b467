"""The model of the exchanges: a signature for each datatype, and for each shape with rules of its own.

It comes without TensorFlow, for most tests, and as a SavedModel that answers the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.support.fake_model import Arrays, FakeModel, FakePredictor, FakeSession
from tests.worker.api.exchanges.datatypes import REVERSALS
from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.inference.errors import BadInputError
from tfleet.worker.model.signature import Signature, TensorInfo

NAME: Final = "types"
LABELS: Final = ("low", "middle", "high")
Shape = tuple[int | None, ...]
Tensors = Mapping[str, tuple[str, Shape]]
"""The dtype and the shape of each tensor."""


def _signature(name: str, inputs: Tensors, outputs: Tensors) -> Signature:
    def infos(tensors: Tensors) -> tuple[TensorInfo, ...]:
        return tuple(
            TensorInfo(key, f"{key}:0", dtype, shape) for key, (dtype, shape) in sorted(tensors.items())
        )

    return Signature(name, infos(inputs), infos(outputs))


_ROWS: Final[Shape] = (None,)
_SCORES: Final = {"classes": ("string", (None, 1)), "scores": ("float32", (None, 1))}
_PLAIN: Final = (
    _signature("serving_default", {"x": ("float32", (None, 3))}, {"scores": ("float32", (None, 3))}),
    _signature(
        *("pair", {"a": ("float32", _ROWS), "b": ("float32", _ROWS)}),
        {"sum": ("float32", _ROWS), "difference": ("float32", _ROWS)},
    ),
    _signature(
        *("mixed", {"age": ("int32", _ROWS), "name": ("string", (None, 1))}),
        {"age": ("int32", _ROWS), "name_bytes": ("string", (None, 1))},
    ),
    _signature("picture", {"x": ("uint8", (None, 2, 2))}, {"y": ("uint8", (None, 2, 2))}),
    _signature("scalar", {"x": ("float64", ())}, {"y": ("float64", ())}),
    _signature("vector", {"x": ("float32", (2,))}, {"y": ("float32", (2,))}),
    _signature("examples", {"inputs": ("string", _ROWS)}, _SCORES),
    _signature("lengths", {"inputs": ("string", _ROWS)}, {"outputs": ("float32", (None, 1))}),
)
SIGNATURES: Final = {
    each.name: each
    for each in (
        *_PLAIN,
        *(
            _signature(each.signature, {"x": (each.dtype, _ROWS)}, {"y": (each.dtype, _ROWS)})
            for each in REVERSALS
        ),
    )
}


def answer(signature: str, inputs: Arrays) -> Arrays:
    """What the signatures answer."""
    return _ANSWERS.get(signature, _backwards)(inputs)


def _backwards(inputs: Arrays) -> Arrays:
    return {"y": inputs["x"][::-1]}


def _scores(inputs: Arrays) -> Arrays:
    if np.isnan(inputs["x"]).any():
        raise BadInputError("the model rejects the input: x is no number")
    return {"scores": inputs["x"] * 2}


def _lengths(inputs: Arrays) -> Any:
    return np.array([[len(each)] for each in inputs["inputs"]], np.float32)


_ANSWERS: Final[Mapping[str, Callable[[Arrays], Arrays]]] = {
    "serving_default": _scores,
    "pair": lambda inputs: {"difference": inputs["a"] - inputs["b"], "sum": inputs["a"] + inputs["b"]},
    "mixed": lambda inputs: {"age": inputs["age"] + 1, "name_bytes": inputs["name"][::-1]},
    "scalar": lambda inputs: {"y": inputs["x"] * 2},
    "examples": lambda inputs: {"classes": inputs["inputs"].reshape(-1, 1), "scores": _lengths(inputs)},
    "lengths": lambda inputs: {"outputs": _lengths(inputs)},
}


def fake_model() -> FakeModel:
    """The model without TensorFlow."""
    model = FakeModel(NAME, ClassScores(LABELS))
    model.session = FakeSession(SIGNATURES, "serving_default")
    model.predictor = FakePredictor(answer, SIGNATURES)
    model.predictor.gate.set()
    return model


def write_types(folder: Path) -> Path:
    """The model as a SavedModel."""
    from tfleet.worker.model.tensorflow import tf  # noqa: PLC0415 - it takes seconds, and few need it

    def lengths(inputs: Any) -> Any:
        return tf.cast(tf.strings.length(inputs), tf.float32)[:, None]

    functions: dict[str, Callable[..., Any]] = {
        "serving_default": lambda x: {"scores": x * 2},
        "pair": lambda a, b: {"difference": a - b, "sum": a + b},
        "mixed": lambda age, name: {"age": age + 1, "name_bytes": tf.reverse(name, [0])},
        "scalar": lambda x: {"y": x * 2},
        "examples": lambda inputs: {"classes": inputs[:, None], "scores": lengths(inputs)},
        "lengths": lambda inputs: {"outputs": lengths(inputs)},
    }
    module = tf.Module()
    signatures = {}
    for name, signature in SIGNATURES.items():
        specs = [tf.TensorSpec(each.shape, each.dtype, each.name) for each in signature.inputs]
        function = functions.get(name, lambda x: {"y": tf.reverse(x, [0])})
        signatures[name] = tf.function(function, input_signature=specs)
        setattr(module, name, signatures[name])
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder
