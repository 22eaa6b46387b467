"""Rows that run together: which ones, and whose outputs are whose."""

from typing import Any

import numpy as np
import pytest

from tfleet.worker.inference.rows import NotRowsError, choose_rows, maps_rows, split_rows
from tfleet.worker.model.signature import Signature, TensorInfo


@pytest.mark.parametrize(
    ("waiting", "chosen"),
    [
        ([("s", 1)], [0]),
        ([("s", 1), ("s", 1), ("s", 2)], [0, 1, 2]),
        ([("s", 1), ("t", 1), ("s", 1)], [0, 2]),
        ([("s", 3), ("s", 2), ("s", 1)], [0, 2]),
        ([(None, 1), (None, 1)], [0]),
        ([("s", 9), ("s", 1)], [0]),
    ],
)
def test_the_oldest_takes_rows_of_its_own_bucket(waiting: Any, chosen: list[int]) -> None:
    assert choose_rows(waiting, 4) == chosen


def test_outputs_are_split_by_rows() -> None:
    outputs = {"y": np.arange(3), "z": np.arange(6).reshape(3, 2)}
    parts = split_rows(outputs, [1, 2])
    assert [part["y"].tolist() for part in parts] == [[0], [1, 2]]
    assert [part["z"].tolist() for part in parts] == [[[0, 1]], [[2, 3], [4, 5]]]


@pytest.mark.parametrize("array", [np.arange(2), np.array(1)])
def test_outputs_without_a_row_for_each_are_refused(array: Any) -> None:
    with pytest.raises(NotRowsError, match="y has the shape"):
        split_rows({"y": array}, [1, 2])


@pytest.mark.parametrize(
    ("x", "y", "rows"),
    [
        ((None, 3), (None, 1), True),
        ((1, 3), (None, 1), False),
        ((None, 3), (), False),
        (None, (None,), False),
    ],
)
def test_rows_need_an_open_first_dimension_everywhere(x: Any, y: Any, rows: bool) -> None:
    inputs = (TensorInfo("x", "x:0", "float32", x), TensorInfo("o", "o:0", "float32", (), optional=True))
    assert maps_rows(Signature("s", inputs, (TensorInfo("y", "y:0", "float32", y),))) == rows
