"""Which signatures `:classify` and `:regress` of TensorFlow Serving's REST API can ask. Pure.

The signature parses tf.Example: it has one input `inputs`, of strings.

- `:classify` needs the output `classes` (strings), or `scores` (floats), or both, of shape
  [examples, classes].
- `:regress` needs the output `outputs`, a float for each example.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tfleet.contract.example_values import ShownTensor

EXAMPLES_INPUT: Final = "inputs"
CLASSES: Final = "classes"
SCORES: Final = "scores"
VALUES: Final = "outputs"
_FLOATS: Final = frozenset({"float16", "bfloat16", "float32", "float64"})
_MATRIX: Final = 2


def takes_examples(inputs: Sequence[ShownTensor]) -> bool:
    """Whether these are the inputs of a signature that parses tf.Example."""
    return len(inputs) == 1 and inputs[0].name == EXAMPLES_INPUT and inputs[0].dtype == "string"


def answers_classes(outputs: Sequence[ShownTensor]) -> bool:
    """Whether the outputs are classes or scores."""
    found = [info for info in outputs if info.name in {CLASSES, SCORES}]
    return bool(found) and all(
        _is_of_type(info) and (info.shape is None or len(info.shape) == _MATRIX) for info in found
    )


def answers_values(outputs: Sequence[ShownTensor]) -> bool:
    """Whether one of the outputs is a value for each example."""
    found = next((info for info in outputs if info.name == VALUES), None)
    return found is not None and found.dtype in _FLOATS and _is_one_each(found.shape)


def _is_of_type(info: ShownTensor) -> bool:
    return info.dtype == "string" if info.name == CLASSES else info.dtype in _FLOATS


def _is_one_each(shape: tuple[int | None, ...] | None) -> bool:
    return shape is None or len(shape) == 1 or (len(shape) == _MATRIX and shape[1] in {None, 1})
