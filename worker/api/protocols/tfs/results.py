"""The answers to `:classify` and `:regress`, from the outputs that TensorFlow's signatures for them have.

- classify: `classes` (strings) or `scores` (numbers) or both, of shape [examples, classes]. Without classes
  the labels are empty, without scores the scores are 0.
- regress: `outputs`, of shape [examples] or [examples, 1].
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import numpy as np

from tfleet.contract.tfs_signatures import CLASSES, SCORES, VALUES, answers_classes, answers_values
from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import kind_of
from tfleet.worker.api.protocols.json_output import json_value
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, quoted
from tfleet.worker.model.signature import Signature

_MATRIX: Final = 2


def check_classifies(signature: Signature) -> None:
    """Raise ProblemError (400) for a signature whose outputs are no classes and scores."""
    if not answers_classes(signature.outputs):
        needs = f"{CLASSES!r} (strings) or {SCORES!r} (floats), of shape [examples, classes]"
        raise _unfit(signature, needs, "classes")


def check_regresses(signature: Signature) -> None:
    """Raise ProblemError (400) for a signature whose output is no value for each example."""
    if not answers_values(signature.outputs):
        raise _unfit(signature, f"{VALUES!r}, a float for each example", "values")


def _unfit(signature: Signature, wanted: str, what: str) -> Exception:
    has = ", ".join(map(str, signature.outputs))
    return bad_input(
        f"the signature {quoted(signature.name)} answers no {what}: it would need an output {wanted}, and it "
        f"has {has[:300]}: name another one in 'signature_name', or use :predict"
    )


def encode_classes(outputs: Mapping[str, Array], examples: int, limits: InputLimits) -> bytes:
    """`{"results": [[[label, score], ...], ...]}`.

    Raises ProblemError: 400 for outputs that do not fit, 413 over a limit.
    """
    classes, scores = outputs.get(CLASSES), outputs.get(SCORES)
    shape = (classes if classes is not None else outputs[SCORES]).shape
    for name, array in ((CLASSES, classes), (SCORES, scores)):
        if array is not None and (array.ndim != _MATRIX or len(array) != examples or array.shape != shape):
            raise bad_input(
                f"the output {name!r} has shape {list(array.shape)}, and [{examples}, number of classes] is "
                "wanted, the same for classes and scores: use :predict"
            )
    _check_kinds(classes, scores)
    limits.check_written(2 * int(np.prod(shape)), "labels and scores")
    labels = np.full(shape, b"", object) if classes is None else classes
    numbers = np.zeros(shape, np.float32) if scores is None else scores
    pairs = zip(_texts(CLASSES, labels, limits), _texts(SCORES, numbers, limits), strict=True)
    cells = [f"[{label},{score}]" for label, score in pairs]
    width = shape[1]
    rows = (f"[{','.join(cells[start * width : (start + 1) * width])}]" for start in range(examples))
    return f'{{"results":[{",".join(rows)}]}}\n'.encode()


def encode_values(outputs: Mapping[str, Array], examples: int, limits: InputLimits) -> bytes:
    """`{"results": [value, ...]}`. Raises ProblemError: 400 for another output, 413 over a limit."""
    array = outputs[VALUES]
    if array.shape not in {(examples,), (examples, 1)} or kind_of(array.dtype) != "f":
        raise bad_input(
            f"the output {VALUES!r} is {array.dtype} of shape {list(array.shape)}, and one float for each "
            f"of {examples} examples is wanted: use :predict"
        )
    return b'{"results":' + json_value(VALUES, array.reshape(-1), limits) + b"}\n"


def _check_kinds(classes: Array | None, scores: Array | None) -> None:
    if classes is not None and kind_of(classes.dtype) != "O":
        raise bad_input(f"the output {CLASSES!r} is {classes.dtype}, and strings are wanted: use :predict")
    if scores is not None and kind_of(scores.dtype) != "f":
        raise bad_input(f"the output {SCORES!r} is {scores.dtype}, and floats are wanted: use :predict")


def _texts(name: str, array: Array, limits: InputLimits) -> list[str]:
    """Each value in JSON."""
    text = json_value(name, array.reshape(-1), limits).decode()
    if kind_of(array.dtype) == "O":
        compact = (",", ":")
        return [json.dumps(value, ensure_ascii=False, separators=compact) for value in json.loads(text)]
    return text[1:-1].split(",") if array.size else []
