"""Why a model cannot be used."""

from __future__ import annotations


class ModelError(Exception):
    """One line for the operator: which file, what is missing or wrong, what there is instead."""


def first_line(error: BaseException) -> str:
    """The line of a foreign error's message that says what happened.

    TensorFlow puts a head ("Graph execution error:") and the origin of the node before it.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    for number, line in enumerate(lines):
        if line.startswith("Node: "):
            lines = lines[number + 1 :]
            break
    said = next((line for line in lines if line and not line.endswith(":")), type(error).__name__)
    return said[:300]
