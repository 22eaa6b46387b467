"""The labels that a SavedModel brings with it in its folder `assets`. No TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.manifest import read_labels

_WORDS: Final = ("label", "class")


def asset_labels(saved_model: Path, classes: int) -> tuple[str, ...]:
    """The labels in the only text file of the assets that is named after labels or classes and has `classes`
    lines; none where there is no such file, or more than one.
    """
    found = []
    for path in sorted((saved_model / "assets").glob("*.txt")):
        if any(word in path.name.lower() for word in _WORDS):
            try:
                labels = read_labels(path)
            except ModelError:  # a file of another use, whatever it is called
                continue
            if len(labels) == classes:
                found.append(labels)
    return found[0] if len(found) == 1 else ()
