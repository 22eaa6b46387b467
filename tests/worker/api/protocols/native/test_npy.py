import io
import struct
import zipfile
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.support.bodies import npy, npz
from tests.support.cpu_time import cpu_seconds
from tests.worker.api.protocols.signatures import (
    ABC,
    IMAGE,
    MIXED,
    NPY,
    NPZ,
    SEQUENCE,
    TENSORS,
    TEXT,
    VECTOR,
    VIDEO,
    column,
    info,
    refused,
    signature,
    values,
)
from tfleet.worker.api.protocols.native import decode
from tfleet.worker.model.signature import Signature

GOOD = npy(np.zeros((2, 3), np.float32))


def head(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin-1") + data


def header(descr: str = "'<f4'", shape: str = "(3,)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("model", "array", "shape", "one_row"),
    [
        (VECTOR, np.zeros((2, 3), np.float32), (2, 3), False),
        (VECTOR, np.zeros(3), (1, 3), True),
        (IMAGE, np.zeros((4, 2, 2), np.uint8), (4, 2, 2), False),
        (IMAGE, np.zeros((2, 2), np.int64), (1, 2, 2), True),
        (SEQUENCE, np.zeros(7, np.int32), (1, 7), True),
        (column("float32"), np.zeros(5, ">f8"), (5,), False),
        (column("float32"), np.float32(1), (1,), True),
        (TEXT, np.array(["a", "b"]), (2, 1), False),
        (TEXT, np.array([[b"a"]]), (1, 1), False),
        (TEXT, np.array(b"a"), (1, 1), True),
    ],
)
def test_a_tensor_has_rows_or_is_one(
    model: Signature, array: Any, shape: tuple[int, ...], one_row: bool
) -> None:
    decoded = decode(npy(array), NPY, model)
    found = decoded.inputs[model.inputs[0].name]
    assert (found.shape, decoded.one_row, decoded.rows) == (shape, one_row, shape[0])


def test_the_data_are_not_copied() -> None:
    found = decode(GOOD, NPY, VECTOR).inputs["G"]
    assert np.shares_memory(found, np.frombuffer(GOOD, np.uint8))


def test_fortran_order_and_versions_are_read() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(decode(npy(np.asfortranarray(array)), NPY, VECTOR).inputs["G"], array)
    sink = io.BytesIO()
    np.lib.format.write_array(sink, array, version=(2, 0))
    np.testing.assert_array_equal(decode(sink.getvalue(), NPY, VECTOR).inputs["G"], array)


def test_bfloat16_is_read_as_numpy_writes_it() -> None:
    array = np.array([0.1, 2], ml_dtypes.bfloat16)
    assert decode(npy(array), NPY, column("bfloat16")).inputs["x"].tolist() == array.tolist()
    assert "an array of <V2" in refused(npy(array), NPY, column("float16"))


def test_strings_are_bytes_of_utf8() -> None:
    assert values(decode(npy(np.array(["h\u00e9", ""])), NPY, TEXT)) == {
        "text": [["h\u00e9".encode()], [b""]]
    }
    assert values(decode(npy(np.array([b"\xff"])), NPY, TEXT)) == {"text": [[b"\xff"]]}


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_has_an_array_for_each_input(compressed: bool) -> None:
    arrays = {"video": np.ones((2, 2, 2)), "question": np.arange(4).reshape(2, 2)}
    decoded = decode(npz(arrays, compressed=compressed), NPZ, VIDEO)
    assert decoded.rows == 2
    assert values(decoded) == {name: array.tolist() for name, array in arrays.items()}


def test_an_archive_may_hold_complete_tensors() -> None:
    decoded = decode(npz({"a": np.array([1, 2]), "b": np.array(3)}), NPZ, TENSORS)
    assert values(decoded) == {"a": [1, 2], "b": 3}
    assert decoded.whole
    free = signature(info("u", "float32", None))
    assert decode(npy(np.zeros((1, 2, 3))), NPY, free).inputs["u"].shape == (1, 2, 3)


def test_a_vector_with_columns_is_sent_as_a_tensor() -> None:
    assert values(decode(npz({"G": np.ones((1, 3))}), NPZ, VECTOR, ABC)) == {"G": [[1, 1, 1]]}


@pytest.mark.parametrize(
    ("model", "body", "said"),
    [
        (VECTOR, npy(np.zeros((2, 2))), "input 'G' takes shape [?, 3], and the array has [2, 2]"),
        (VECTOR, npy(np.zeros((0, 3))), "no rows"),
        (
            IMAGE,
            npy(np.full((2, 2, 2), 300)),
            "input 'image', row 0 (the first is 0) at [0, 0]: 300 is out of range",
        ),
        (IMAGE, npy(np.full((2, 2), -1)), "input 'image' at [0, 0]: -1 is out of range"),
        (IMAGE, npy(np.zeros((2, 2))), "input 'image' takes uint8, and the body has float64"),
        (column("bool"), npy(np.zeros(2, np.int8)), "takes bool, and the body has int8"),
        (TEXT, npy(np.zeros(2)), "takes string, and the body has an array of <f8"),
        (TEXT, npy(np.array(["a"])).replace(b"a\0\0\0", b"\0\xd8\0\0"), "the string is not Unicode"),
        (TEXT, npy(np.array(["a"])).replace(b"a\0\0\0", b"\xff\xff\xff\xff"), "the string is not Unicode"),
        (VIDEO, GOOD, ".npy holds one tensor, and the model has 2 inputs"),
        (VECTOR, GOOD[:-1], "declares 24 bytes of data, shape [2, 3] of f4, and 23 are there"),
        (VECTOR, GOOD + b"\0", "declares 24 bytes of data, shape [2, 3] of f4, and 25 are there"),
        (VECTOR, b"", "no body"),
        (VECTOR, b"[1, 2, 3]", "not in NumPy's .npy format"),
        (VECTOR, b"\x93NUMPY\x09\x00\x10\x00", "no version 9"),
        (VECTOR, b"\x93NUMPY\x01\x00\x10", "cut off"),
        (VECTOR, b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "cut off, or far too long"),
        (VECTOR, head(header("'|O'"), b"\x80\x04N."), "no plain array of numbers or strings"),
        (VECTOR, head(header("[('a', '<f4')]")), "no plain array"),
        (VECTOR, head(header(shape="(__import__('os'),)")), "no plain array"),
        (VECTOR, head(header(shape="(-1,)")), "no plain array"),
        (VECTOR, head(header(shape="(" + "1" * 2000 + ")")), "no plain array"),
        (VECTOR, head(header(shape="(" + "1," * 33 + ")")), "33 dimensions"),
        (VECTOR, head(header(shape="(999999999999, 999999999999)")), "and 0 are there"),
        (VECTOR, head(header("'<f3'"), b"\0" * 9), "an array of <f3"),
        (VECTOR, head(header("'<M8'"), b"\0" * 24), "an array of <M8"),
        (TEXT, head(header("'<U999999999'", "(0,)")), "an array of <U999999999"),
        (TEXT, head(header("'|S0'", "(5,)")), "an array of |S0"),
    ],
)
def test_a_bad_array_is_refused(model: Signature, body: bytes, said: str) -> None:
    assert said in refused(body, NPY, model)


def test_an_empty_array_of_a_huge_shape_is_refused() -> None:
    body = head(header(shape="(0, 999999999999999999)"))
    assert "takes more than the 268435456 bytes" in refused(body, NPY, SEQUENCE, status=413)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"age": [1]}, "the .npz file lacks 'name'"),
        ({"age": [1], "id": [1]}, "the .npz file has 'id', unknown"),
        ({"age": [1], "name": ["a", "b"]}, "array 'name' has 2 rows and 'age' has 1 rows"),
        ({"age": 1, "name": ["a"]}, "array 'name' has 1 rows and 'age' has one row without a dimension"),
        ({"age": [1.0], "name": ["a"]}, "input 'age' takes int32, and the body has float64"),
        ({"age": [1], "name": np.array([{}], object)}, "objects and records are refused"),
        ({name: [1] for name in "abcd"}, "the .npz file has 4 arrays, and the model has 2 inputs"),
    ],
)
def test_a_bad_archive_is_refused(arrays: dict[str, Any], said: str) -> None:
    assert said in refused(npz(arrays), NPZ, MIXED)


def test_other_ways_to_write_a_header_are_read() -> None:
    data = np.arange(3, dtype=np.float32).tobytes()
    for text in (
        "{'shape': (3,), 'descr': '<f4', 'fortran_order': False}",
        "{ 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 3 , ) , }   \n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3L,), }",
    ):
        assert values(decode(head(text, data), NPY, VECTOR)) == {"G": [[0, 1, 2]]}


@pytest.mark.parametrize(
    "text",
    [
        "{" + f"'shape': (1{' ' * 100}), " * 2 + f"'shape': (1{' ' * 100}x",
        "{" + f"'shape': (1{',' + ' ' * 50}1{' ' * 50}), " * 2 + f"'shape': (1{' ' * 100},x",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': (3,){' ' * 3900}x",
    ],
)
def test_a_header_of_blanks_is_refused_at_once(text: str) -> None:
    body = head(text)
    for sent, kind in ((body, NPY), (npz_of(body), NPZ)):
        assert "no plain array" in refused(sent, kind, VECTOR)
        assert cpu_seconds(partial(refused, sent, kind, VECTOR)) < 0.2


def npz_of(member: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("G.npy", member)
    return sink.getvalue()
