"""Why a model cannot be used."""

from __future__ import annotations

import re
from typing import Final

from tfleet.worker.model.missing_ops import describe_missing

_MISSING_OPERATION: Final = re.compile(r"Op type not registered '([^']+)'")


class ModelError(Exception):
    """The model cannot be used. The message is one line for the operator: which file and what is wrong
    with it.
    """


def first_line(error: BaseException) -> str:
    """The line of a library's error message that says what happened, at most 300 characters.

    TensorFlow puts a heading ("Graph execution error:") and the origin of the node before it.
    """
    missing = _MISSING_OPERATION.search(str(error))
    if missing is not None:
        return (
            f"it needs the operation {describe_missing(missing[1])}, which TensorFlow does not have: "
            "export the model without it, and do what it does in the client"
        )
    lines = [line.strip() for line in str(error).splitlines()]
    for number, line in enumerate(lines):
        if line.startswith("Node: "):
            lines = lines[number + 1 :]
            break
    text = next((line for line in lines if line and not line.endswith(":")), type(error).__name__)
    return text[:300]
