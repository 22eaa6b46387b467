"""The model of what users of other servers have reported, and of the tests of Triton's HTTP server.

Its outputs have no sizes that follow from the inputs, where a report is about such ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tests.support.fake_model import Arrays, FakeModel, FakePredictor, FakeSession
from tfleet.worker.model.signature import Signature, TensorInfo

NAME: Final = "reported"
_DETECTED: Final[Mapping[str, Any]] = {
    "none": {"boxes": np.zeros((0, 4), np.float32), "classes": np.zeros(0, np.int64)},
    "uneven": {"a": np.zeros((2, 1), np.float32), "b": np.zeros((3, 1), np.float32)},
    "nan": {"y": np.array([[1, np.nan], [np.inf, 4]], np.float32)},
    "text": {"y": np.array([b"cat", "h\u00e9".encode()], object)},
}


def _signature(name: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Signature:
    def infos(tensors: Mapping[str, Any]) -> tuple[TensorInfo, ...]:
        return tuple(TensorInfo(key, f"{key}:0", *each) for key, each in sorted(tensors.items()))

    return Signature(name, infos(inputs), infos(outputs))


def _echo(dtype: str, *shape: int | None) -> Signature:
    return _signature(f"{dtype}{len(shape)}", {"x": (dtype, shape)}, {"y": (dtype, shape)})


_FLOAT: Final = {"x": ("float32", (None,))}
_NUMBERS: Final = ("float32", (None, None))
SIGNATURES: Final = {
    each.name: each
    for each in (
        _echo("float32", None),
        _echo("float32", None, 2),
        _echo("float16", None),
        _echo("float16", None, None, None),
        _echo("int64", None),
        _echo("string", None),
        _echo("string", None, 1),
        _echo("string", None, 1, 3),
        _signature("none", _FLOAT, {"boxes": _NUMBERS, "classes": ("int64", (None,))}),
        _signature("uneven", _FLOAT, {"a": _NUMBERS, "b": _NUMBERS}),
        _signature("nan", _FLOAT, {"y": _NUMBERS}),
        _signature("text", _FLOAT, {"y": ("string", (None,))}),
        _signature("dropout", {**_FLOAT, "training": ("bool", ())}, {"y": ("float32", (None,))}),
        _signature("three", dict.fromkeys("abc", ("float32", (None,))), {"y": ("float32", (None,))}),
    )
}


def reported_model() -> FakeModel:
    """The model without TensorFlow. A signature answers its input `x`, or what a report is about."""
    model = FakeModel(NAME, default="float321")
    model.session = FakeSession(SIGNATURES, "float321")
    model.predictor = FakePredictor(_answer, SIGNATURES)
    model.predictor.gate.set()
    return model


def _answer(signature: str, inputs: Arrays) -> Arrays:
    found: Arrays = _DETECTED.get(signature) or {"y": inputs["x"]}
    return found
