from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from tfleet.bulk.batches import batch_ends, row_sizes, tensor_bytes
from tfleet.worker.model.signature import TensorInfo


@given(st.lists(st.integers(0, 100), max_size=60), st.integers(1, 7), st.integers(1, 150))
def test_batches_have_all_rows_within_both_limits(sizes: list[int], most_rows: int, most_bytes: int) -> None:
    ends = list(batch_ends(np.array(sizes, np.int64), most_rows=most_rows, most_bytes=most_bytes))
    assert [row for begin, end in ends for row in range(begin, end)] == list(range(len(sizes)))
    for begin, end in ends:
        assert end - begin <= most_rows
        assert end - begin == 1 or sum(sizes[begin:end]) <= most_bytes


def test_a_batch_is_as_large_as_it_may_be() -> None:
    sizes = np.full(10, 100, np.int64)
    assert list(batch_ends(sizes, most_rows=4, most_bytes=10**6)) == [(0, 4), (4, 8), (8, 10)]
    assert list(batch_ends(sizes, most_rows=100, most_bytes=350)) == [(0, 3), (3, 6), (6, 9), (9, 10)]


@pytest.mark.parametrize(
    ("column", "sizes"),
    [
        (pa.array([1, None, 3], pa.int64()), [8, 8, 8]),
        (pa.array([True, False, None]), [1, 1, 1]),
        (pa.array(["", None, "four"]), [0, 0, 4]),
        (pa.array([b"12", b"", b"1"], pa.large_binary()), [2, 0, 1]),
        (pa.array([[1, 2], [], None], pa.list_(pa.int32())), [8, 0, 0]),
        (pa.array([["ab", "c"], ["d"], []]), [3, 1, 0]),
        (pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)), [8, 8, 8]),
        (pa.array([["a", "bc"], ["", ""], ["d", ""]], pa.list_(pa.string(), 2)), [3, 0, 1]),
        (pa.array([[[1], [2, 3]], [], [[4]]], pa.list_(pa.list_(pa.int8()))), [3, 0, 1]),
    ],
)
def test_a_row_has_the_bytes_of_its_values(column: pa.Array, sizes: list[int]) -> None:
    batch = pa.record_batch({"c": column})
    assert row_sizes(batch, 10).tolist() == [10 + size for size in sizes]
    assert row_sizes(batch.slice(1), 10).tolist() == [10 + size for size in sizes[1:]]


def test_tensors_take_the_bytes_of_their_shape() -> None:
    infos = [
        TensorInfo("image", "", "float32", (None, 8, 8, 3)),
        TensorInfo("word", "", "string", (None,)),
        TensorInfo("steps", "", "int64", (None, None)),
        TensorInfo("any", "", "bfloat16", None),
    ]
    assert tensor_bytes(infos) == 768 + 0 + 8 + 2
