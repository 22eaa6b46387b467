"""Reads model.toml and labels.txt.

labels.txt names the model's classes; model.toml says what the model itself does not:

[model]
kind = "image"         # image, table, text, sequence or tensors; found out where it is left out
signature = "classify" # for requests that name none; default "serving_default", or the only one
stateful = true        # answers depend on earlier requests: no batching, no retries; found out from the graph
batch = false          # rows of several callers never run together; default true: where the check allows it
tags = ["serve"]       # which graph of a SavedModel; default "serve"
columns = ["age"]      # the names of a table model's numbers, where it takes them as one vector

[signatures.serving_default]      # of a frozen graph, which has none itself
inputs = {x = "X:0"}
outputs = {y = "output:0"}

[input]
tensor = "image:0"     # optional for a SavedModel: default from its signature
size = 224             # or [height, width]; optional where the graph states it
crop = 0.875           # fraction of the largest centred box; without it the whole image is stretched
resample = "bicubic"   # bilinear (the default), bicubic, lanczos, box or nearest
antialias = false      # interpolate at points, the default of tf.image.resize; here the default is true
channels = "bgr"       # the order of the colours; default "rgb"
mean = 127             # (pixel - mean) / std; a number, or three in the order of the channels; default 0
std = 128              # default 255: float32 graphs get 0 to 1; uint8 graphs always get unscaled pixels

[output]
tensor = "probability:0"
activation = "softmax" # what the worker applies to the output: softmax, sigmoid or none
logits = false         # true: the same as activation = "softmax"
threshold = 0.5        # answers leave out labels below this probability
embedding = "pooled:0" # a tensor with a vector for each image, for POST /embed; default: there is none
function = "answer.py:make"       # a function in a file beside this one, that makes the answer; needs --trust
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from tfleet.worker.image.geometry import RESAMPLES
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.spec import (
    ACTIVATIONS,
    CHANNEL_ORDERS,
    InputSpec,
    OutputSpec,
    RunSpec,
    ServingSpec,
    SignatureSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a UTF-8 file with one label a line, in the order of the classes. Raises `ModelError`.

    Empty lines at the end are ignored; an empty line in the middle is an error.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; it should have the model's labels, one a line") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: the labels are not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise ModelError(f"{path}: the labels cannot be read: {error.strerror}") from error
    labels = tuple(line.strip() for line in text.rstrip().split("\n"))
    if labels == ("",):
        raise ModelError(f"{path}: the labels file is empty")
    if "" in labels:
        raise ModelError(f"{path}: line {labels.index('') + 1} is empty; each line is the label of one class")
    return labels


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model.toml says."""

    input: InputSpec = field(default_factory=InputSpec)
    output: OutputSpec = field(default_factory=OutputSpec)
    serving: ServingSpec = field(default_factory=ServingSpec)


def read_manifest(path: Path) -> Manifest:
    """Read a model.toml. Raises `ModelError`, which names the file and the key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such file; it should describe the model's tensors, size and scaling"
        ) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: is not TOML: {error}") from error
    reader = _Reader(path)
    reader.known(document, "", ("model", "signatures", "input", "output"))
    serving = reader.table(document, "model", _MODEL_KEYS)
    runs = RunSpec(**{key: serving.pop(key) for key in ("stateful", "batch") if key in serving})
    return Manifest(
        InputSpec(**reader.table(document, "input", _INPUT_KEYS)),
        _output(reader, reader.table(document, "output", _OUTPUT_KEYS)),
        ServingSpec(**serving, runs=runs, signatures=_signatures(reader, document)),
    )


def _output(reader: _Reader, values: dict[str, Any]) -> OutputSpec:
    logits = values.pop("logits", False)
    if logits and values.setdefault("activation", "softmax") != "softmax":
        reader.fail('output.logits = true means activation = "softmax": remove one of them')
    return OutputSpec(**values)


def _signatures(reader: _Reader, document: Mapping[str, Any]) -> Mapping[str, SignatureSpec]:
    tables = document.get("signatures", {})
    if not isinstance(tables, dict):
        reader.fail("signatures is not a table: write [signatures.serving_default]")
    found = {}
    for name in tables:
        values = reader.table(tables, name, _SIGNATURE_KEYS, "signatures.")
        if missing := [key for key in _SIGNATURE_KEYS if key not in values]:
            reader.fail(f'signatures.{name} has no {missing[0]}: write {missing[0]} = {{NAME = "TENSOR:0"}}')
        found[name] = SignatureSpec(**values)
    return found


class _Reader:
    """Reads the values of one file; its errors name the file and the key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fail(self, problem: str) -> NoReturn:
        raise ModelError(f"{self._path}: {problem}")

    def known(self, table: Mapping[str, Any], prefix: str, allowed: tuple[str, ...]) -> None:
        for key in table:
            if key not in allowed:
                sections = [] if prefix else [name for name, keys in _SECTIONS.items() if key in keys]
                belongs = " or ".join(f"[{name}]" for name in sections)
                hint = f": write it under {belongs}" if belongs else ""
                self.fail(f"unknown key {prefix}{key}; the keys here are {', '.join(allowed)}{hint}")

    def table(
        self,
        document: Mapping[str, Any],
        name: str,
        keys: Mapping[str, Callable[[Any], Any]],
        prefix: str = "",
    ) -> dict[str, Any]:
        table, name = document.get(name, {}), f"{prefix}{name}"
        if not isinstance(table, dict):
            self.fail(f"{name} is not a table: write [{name}]")
        self.known(table, f"{name}.", tuple(keys))
        values = {}
        for key, value in table.items():
            try:
                values[key] = keys[key](value)
            except ValueError as error:
                self.fail(f"{name}.{key} is {value!r}, but must be {error}")
        return values


# Each of these checks a value of the file, and raises ValueError with what the value must be.


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _size(value: Any) -> tuple[int, int]:
    sides = value if isinstance(value, list) else [value, value]
    if [type(side) for side in sides] != [int, int] or min(sides) < 1:
        raise ValueError("a number of pixels, or [height, width]")
    return sides[0], sides[1]


_CHANNELS = (3, 4)
_FUNCTION = re.compile(r"\w+\.py:[A-Za-z_]\w*")


def _numbers(value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    if len(values) not in {1, *_CHANNELS} or not all(_is_number(each) for each in values):
        raise ValueError("a number, or three in the order of the channels")
    return tuple(float(each) for each in values)


def _divisors(value: Any) -> tuple[float, ...]:
    values = _numbers(value)
    if 0.0 in values:
        raise ValueError("other than 0: pixels are divided by it")
    return values


def _crop(value: Any) -> float:
    if not _is_number(value) or not 0 < value <= 1:
        raise ValueError("above 0 and up to 1")
    return float(value)


def _resample(value: Any) -> str:
    if value not in RESAMPLES:
        raise ValueError(f"one of {', '.join(RESAMPLES)}")
    return str(value)


def _channels(value: Any) -> str:
    if value not in CHANNEL_ORDERS:
        raise ValueError(f"one of {', '.join(CHANNEL_ORDERS)}")
    return str(value)


def _kind(value: Any) -> ModelKind:
    if value not in tuple(ModelKind):
        raise ValueError(f"one of {', '.join(ModelKind)}")
    return ModelKind(value)


def _activation(value: Any) -> str:
    if value not in ACTIVATIONS:
        raise ValueError(f"one of {', '.join(ACTIVATIONS)}")
    return str(value)


def _threshold(value: Any) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError("a probability, from 0 to 1")
    return float(value)


def _function(value: Any) -> str:
    if not isinstance(value, str) or not _FUNCTION.fullmatch(value):
        raise ValueError("FILE.py:FUNCTION, of a file beside model.toml")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError("a list of texts")
    return tuple(value)


def _columns(value: Any) -> tuple[str, ...]:
    names = _texts(value)
    if not names or len(set(names)) < len(names):
        raise ValueError("a list of different names")
    return names


def _tensors(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not value or not all(isinstance(each, str) for each in value.values()):
        raise ValueError('a table of names and tensors, as in {x = "X:0"}')
    return dict(value)


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and math.isfinite(value)


_MODEL_KEYS: Mapping[str, Callable[[Any], Any]] = {
    "kind": _kind,
    "signature": _text,
    "stateful": _flag,
    "batch": _flag,
    "tags": _texts,
    "columns": _columns,
}
_SIGNATURE_KEYS: Mapping[str, Callable[[Any], Any]] = {"inputs": _tensors, "outputs": _tensors}
_INPUT_KEYS: Mapping[str, Callable[[Any], Any]] = {
    "tensor": _text,
    "size": _size,
    "crop": _crop,
    "resample": _resample,
    "antialias": _flag,
    "channels": _channels,
    "mean": _numbers,
    "std": _divisors,
}
_OUTPUT_KEYS: Mapping[str, Callable[[Any], Any]] = {
    "tensor": _text,
    "activation": _activation,
    "logits": _flag,
    "threshold": _threshold,
    "embedding": _text,
    "function": _function,
}
_SECTIONS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "model": _MODEL_KEYS,
    "input": _INPUT_KEYS,
    "output": _OUTPUT_KEYS,
}
