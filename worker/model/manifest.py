"""Reads model.toml and labels.txt.

labels.txt names the model's classes; model.toml describes its graph:

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
logits = false         # true: the graph has no softmax, and the worker applies it
"""

from __future__ import annotations

import math
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn

from tfleet.worker.image.geometry import RESAMPLES
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.spec import CHANNEL_ORDERS, InputSpec, OutputSpec

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


CHANNELS = 3


def read_manifest(path: Path) -> tuple[InputSpec, OutputSpec]:
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
    reader.known(document, "", ("input", "output"))
    read_input = reader.table(document, "input", _INPUT_KEYS)
    read_output = reader.table(document, "output", _OUTPUT_KEYS)
    return InputSpec(**read_input), OutputSpec(**read_output)


class _Reader:
    """Reads the values of one file; its errors name the file and the key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fail(self, problem: str) -> NoReturn:
        raise ModelError(f"{self._path}: {problem}")

    def known(self, table: Mapping[str, Any], prefix: str, allowed: tuple[str, ...]) -> None:
        for key in table:
            if key not in allowed:
                self.fail(f"unknown key {prefix}{key}; the keys here are {', '.join(allowed)}")

    def table(
        self, document: Mapping[str, Any], name: str, keys: Mapping[str, Callable[[Any], Any]]
    ) -> dict[str, Any]:
        table = document.get(name, {})
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


def _numbers(value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    if len(values) not in {1, CHANNELS} or not all(_is_number(each) for each in values):
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


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and math.isfinite(value)


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
_OUTPUT_KEYS: Mapping[str, Callable[[Any], Any]] = {"tensor": _text, "logits": _flag}
