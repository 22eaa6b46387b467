"""The names of a model's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfleet.worker.model.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def read_labels(path: Path) -> tuple[str, ...]:
    """One label a line, in the order of the classes, UTF-8. Raises `ModelError`.

    Empty lines at the end are not labels; one in the middle would be a class without a name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file; it holds the model's labels, one a line") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: the labels are not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise ModelError(f"{path}: the labels cannot be read: {error.strerror}") from error
    labels = tuple(line.strip() for line in text.rstrip().split("\n"))
    if labels == ("",):
        raise ModelError(f"{path}: the file of labels is empty")
    if "" in labels:
        raise ModelError(f"{path}: line {labels.index('') + 1} is empty; each line is the label of one class")
    return labels
