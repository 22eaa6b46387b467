"""What kind of model it is. No TensorFlow."""

from __future__ import annotations

from enum import StrEnum


class ModelKind(StrEnum):
    """What a model takes, and so how it is asked.

    - image: one image in, one row of numbers out, a number for each class
    - table: rows of columns
    - text: one string
    - sequence: one row of numbers of any length, or one vector for each step
    - tensors: anything else, by the names of its inputs and outputs
    """

    IMAGE = "image"
    TABLE = "table"
    TEXT = "text"
    SEQUENCE = "sequence"
    TENSORS = "tensors"
