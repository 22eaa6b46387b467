import struct
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pytest

from tests.support.bodies import arrow, stream
from tests.support.cpu_time import cpu_seconds
from tests.worker.api.protocols.signatures import (
    ABC,
    ARROW,
    IMAGE,
    MIXED,
    SEQUENCE,
    TABLE,
    TENSORS,
    TEXT,
    VECTOR,
    VIDEO,
    column,
    refused,
    values,
)
from tfleet.worker.api.protocols.native import decode
from tfleet.worker.model.signature import Signature

X = np.arange(1, 4, dtype=np.float32)
TENSOR = pa.fixed_shape_tensor(pa.uint8(), [2, 2])


def read(model: Signature, columns: dict[str, Any], names: tuple[str, ...] = (), **options: Any) -> Any:
    return values(decode(arrow(columns, **options), ARROW, model, names))


def test_columns_are_found_by_name_and_not_copied() -> None:
    body = arrow({f"G{number}": X * number for number in range(10, 0, -1)})
    decoded = decode(body, ARROW, TABLE)
    assert (decoded.rows, decoded.one_row) == (3, False)
    assert values(decoded) == {f"G{number}": (X * number).reshape(3, 1).tolist() for number in range(1, 11)}
    whole = np.frombuffer(body, np.uint8)
    assert all(np.shares_memory(array, whole) for array in decoded.inputs.values())


def test_a_vector_is_put_in_the_order_of_its_columns() -> None:
    assert read(VECTOR, {"c": X + 2, "a": X, "b": X + 1}, ABC) == {"G": [[1, 2, 3], [2, 3, 4], [3, 4, 5]]}


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_several_batches_are_put_together(compression: str | None) -> None:
    big = np.arange(1000, dtype=np.float32)
    body = arrow(
        {"G": pa.FixedSizeListArray.from_arrays(pa.array(big[:999]), 3)}, batches=2, compression=compression
    )
    decoded = decode(body, ARROW, VECTOR)
    assert decoded.rows == 666
    np.testing.assert_array_equal(decoded.inputs["G"], np.tile(big[:999].reshape(-1, 3), (2, 1)))


@pytest.mark.parametrize(
    "lists",
    [
        pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.float32())),
        pa.array([[1, 2, 3], [4, 5, 6]], pa.large_list(pa.float64())),
        pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.int16(), 3)),
        pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.float16())),
        pa.array([[9], [1, 2, 3], [4, 5, 6]], pa.list_(pa.float32())).slice(1),
    ],
)
def test_lists_of_any_kind_are_vectors(lists: Any) -> None:
    assert read(VECTOR, {"G": lists}) == {"G": [[1, 2, 3], [4, 5, 6]]}


@pytest.mark.parametrize(
    "images",
    [
        pa.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], pa.list_(pa.list_(pa.uint8()))),
        pa.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], pa.list_(pa.list_(pa.int64(), 2), 2)),
        pa.ExtensionArray.from_storage(TENSOR, pa.array([[1, 2, 3, 4], [5, 6, 7, 8]], TENSOR.storage_type)),
    ],
)
def test_lists_of_lists_and_tensors_are_images(images: Any) -> None:
    assert read(IMAGE, {"image": images}) == {"image": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}


@pytest.mark.parametrize(
    "names",
    [
        pa.array(["a", "b", "a"]),
        pa.array(["a", "b", "a"], pa.large_string()),
        pa.array(["a", "b", "a"], pa.string_view()),
        pa.array(["a", "b", "a"], pa.binary()),
        pa.array(["a", "b", "a"], pa.binary_view()),
        pa.array([b"a", b"b", b"a"], pa.binary(1)),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([2, 1, 2], pa.int8()), pa.array([None, "b", "a"])),
    ],
)
def test_strings_of_any_kind_are_bytes(names: Any) -> None:
    ages = pa.array([1, 2, 3], pa.uint8()).dictionary_encode()
    assert read(MIXED, {"age": ages, "name": names}) == {"age": [1, 2, 3], "name": [[b"a"], [b"b"], [b"a"]]}


def test_bools_and_bfloat16_are_read() -> None:
    assert read(column("bool"), {"x": [True, False]}) == {"x": [True, False]}
    found = decode(arrow({"x": np.array([0.1, 2])}), ARROW, column("bfloat16")).inputs["x"]
    assert found.tolist() == np.array([0.1, 2]).astype(ml_dtypes.bfloat16).tolist()


def test_a_column_may_hold_lists_of_one() -> None:
    assert read(TEXT, {"text": pa.array([["a"], ["b"]])}) == {"text": [[b"a"], [b"b"]]}


def test_lists_of_any_size_are_sequences() -> None:
    assert read(SEQUENCE, {"chars": pa.array([[1, 2], [3, 4]])}) == {"chars": [[1, 2], [3, 4]]}
    assert read(SEQUENCE, {"chars": pa.array([[], []], pa.list_(pa.int32()))}) == {"chars": [[], []]}


@pytest.mark.parametrize(
    ("model", "columns", "said"),
    [
        (MIXED, {"age": [1]}, "the Arrow schema lacks 'name'"),
        (MIXED, {"age": [1], "name": ["a"], "id": [1]}, "the Arrow schema has 'id', unknown to the model"),
        (
            MIXED,
            {"age": [1, None], "name": ["a", "b"]},
            "column 'age', row 1 (the first is 0): null is no value",
        ),
        (
            MIXED,
            {"age": [1, 2], "name": ["a", None]},
            "column 'name', row 1 (the first is 0): null is no value",
        ),
        (MIXED, {"age": [1], "name": pa.array([None]).dictionary_encode()}, "takes string, and the body has"),
        (MIXED, {"age": [1.0], "name": ["a"]}, "input 'age' takes int32, and the body has float64"),
        (MIXED, {"age": [True], "name": ["a"]}, "input 'age' takes int32, and the body has bool"),
        (MIXED, {"age": [1], "name": [1]}, "input 'name' takes string, and the body has int64"),
        (
            MIXED,
            {"age": [1, 2**31], "name": ["a", "b"]},
            "column 'age', row 1 (the first is 0): 2147483648 is out",
        ),
        (
            MIXED,
            {"age": pa.array([1, 2, 2**31, 2**31]).dictionary_encode(), "name": list("abcd")},
            "column 'age', row 2 (the first is 0): 2147483648 is out of range",
        ),
        (
            MIXED,
            {
                "age": [1, 2],
                "name": pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None])),
            },
            "column 'name', row 1 (the first is 0): null",
        ),
        (
            MIXED,
            {"age": [1], "name": ["a"], "__index_level_0__": [1]},
            "leave the index out (preserve_index=False)",
        ),
        (VECTOR, {"a": X, "b": X, "c": X}, "columns = ["),
        (
            VECTOR,
            {"G": [[1.0, 2.0, 3.0], [1.0, 2.0]]},
            "input 'G', row 1 (the first is 0): a list of 2 values stands",
        ),
        (VECTOR, {"G": [[1.0, 2.0, 3.0], None]}, "input 'G', row 1 (the first is 0): null"),
        (VECTOR, {"G": [[1.0, 2.0, 3.0], [1, None, 2]]}, "input 'G', row 1 (the first is 0) at [1]: null"),
        (VECTOR, {"G": X}, "takes float32 values of shape [3] in each row, and the body has lists 0 deep"),
        (VECTOR, {"G": [[[1.0, 2.0]] * 3]}, "the body has more lists within lists"),
        (
            VECTOR,
            {"G": pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))},
            "a list of 2 values stands where 3 are",
        ),
        (
            VECTOR,
            {"G": pa.ExtensionArray.from_storage(TENSOR, pa.array([[1, 2, 3, 4]], TENSOR.storage_type))},
            "the body has tensors of shape [2, 2]",
        ),
        (SEQUENCE, {"chars": [[1, 2], [3]]}, "rows of one body have the same shape"),
        (TEXT, {"text": [1.5]}, "takes string, and the body has double"),
        (TEXT, {"text": pa.nulls(2)}, "takes string, and the body has null"),
        (column("float32"), {"x": [1e39]}, "1e+39 is out of range for float32"),
        (column("float32"), {"x": pa.array([{"a": 1}])}, "the body has struct<a: int64> in column 'x'"),
        (column("float32"), {"x": pa.array([1], pa.timestamp("s"))}, "the body has timestamp[s]"),
        (column("float32"), {"x": pa.array([1], pa.decimal128(5))}, "the body has decimal128(5, 0)"),
        (TENSORS, {"a": [1], "b": [1]}, "an Arrow stream has rows, and the model's input 'a' has shape [2]"),
        (column("float32"), {"x": pa.array([], pa.float32())}, "has no rows"),
    ],
)
def test_a_bad_stream_is_refused_with_row_and_column(
    model: Signature, columns: dict[str, Any], said: str
) -> None:
    assert said in refused(arrow(columns), ARROW, model)


def test_a_bad_value_in_a_later_batch_has_its_row() -> None:
    good, bad = (pa.record_batch([pa.array([1, last])], ["x"]) for last in (2, None))
    said = refused(stream([good, good, bad]), ARROW, column("int32"))
    assert "column 'x', row 5 (the first is 0): null" in said
    short, long = (pa.record_batch([pa.array([row])], ["chars"]) for row in ([1], [1, 2]))
    said = refused(stream([short, long]), ARROW, SEQUENCE)
    assert "input 'chars', row 1 (the first is 0): a value of shape [2] stands beside one of [1]" in said


def test_two_columns_of_one_name_are_refused() -> None:
    body = stream([pa.record_batch([pa.array([1]), pa.array([2])], ["x", "x"])])
    assert "the Arrow schema has 'x' twice" in refused(body, ARROW, column("int32"))


def test_run_ends_are_refused_as_they_grow_without_bounds() -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([60_000], pa.int32()), pa.array([1.0]))
    assert "the body has run_end_encoded" in refused(arrow({"x": runs}), ARROW, column("float32"))


def raw_strings(offsets: list[int], data: bytes) -> Any:
    buffers = [None, pa.py_buffer(np.array(offsets, np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


@pytest.mark.parametrize(
    ("strings", "said"),
    [
        (raw_strings([0, 1], b"\xff"), "row 0 (the first is 0): the string is not UTF-8"),
        (raw_strings([0, 3, 1], b"abc"), "Offset invariant failure"),
        (
            pa.DictionaryArray.from_arrays(pa.array([0, 5]), pa.array(["a", "b"]), safe=False),
            "out of bounds",
        ),
    ],
)
def test_arrays_that_contradict_themselves_are_refused(strings: Any, said: str) -> None:
    detail = refused(arrow({"text": strings}), ARROW, TEXT)
    assert "column 'text'" in detail
    assert said in detail


def test_views_that_share_their_bytes_are_counted() -> None:
    view = struct.pack("<i4sii", 1_000_000, b"xxxx", 0, 0)
    buffers = [None, pa.py_buffer(view * 300), pa.py_buffer(b"x" * 1_000_000)]
    words = pa.Array.from_buffers(pa.string_view(), 300, buffers)
    body = arrow({"text": words})
    assert len(body) < 2_000_000
    assert "the strings take more than the 268435456 bytes allowed" in refused(body, ARROW, TEXT, status=413)


def shared_word(rows: int) -> bytes:
    words = pa.array(["x" * 1_000_000])
    return arrow({"text": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int16()), words)})


def test_a_dictionary_of_long_strings_costs_little() -> None:
    found = decode(shared_word(200), ARROW, TEXT).inputs["text"]
    assert found[0, 0] is found[199, 0]


def test_a_string_that_rows_share_is_counted_for_each() -> None:
    said = refused(shared_word(300), ARROW, TEXT, status=413)
    assert "the strings take more than the 268435456 bytes allowed" in said


def test_nulls_in_a_dictionary_are_left_out() -> None:
    words = pa.array([None, "a", None, "b"])
    rows = pa.DictionaryArray.from_arrays(pa.array([3, 1, 3]), words)
    assert read(TEXT, {"text": rows}) == {"text": [[b"b"], [b"a"], [b"b"]]}
    ages = pa.DictionaryArray.from_arrays(pa.array([2, 1]), pa.array([None, 5, 7], pa.int32()))
    assert read(column("int32"), {"x": ages}) == {"x": [7, 5]}


def test_nulls_in_a_dictionary_cost_little() -> None:
    words = pa.array(["x" * 1_000_000, *[None] * 1000])
    body = arrow({"text": pa.DictionaryArray.from_arrays(pa.array([0], pa.int16()), words)})
    assert len(decode(body, ARROW, TEXT).inputs["text"][0, 0]) == 1_000_000


def test_video_and_question_are_read() -> None:
    video = pa.array([[[1.0, 2.0], [3.0, 4.0]]])
    assert read(VIDEO, {"question": [[1, 2]], "video": video}) == {
        "question": [[1, 2]],
        "video": [[[1, 2], [3, 4]]],
    }


def test_a_dictionary_is_counted_for_each_batch() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array(["x" * 16] * 50_000))
    body = arrow({"text": words}, batches=300)
    assert len(body) < 2_000_000
    assert cpu_seconds(lambda: refused(body, ARROW, TEXT, status=413)) < 0.1
