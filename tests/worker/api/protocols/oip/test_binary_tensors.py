"""The binary part of a body: every byte belongs to one tensor."""

import ml_dtypes
import numpy as np
import pytest

from tests.worker.api.protocols.oip.bodies import LIMITS, binary, body, read, refused, strings, tensor
from tests.worker.api.protocols.signatures import MIXED, info, signature
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.oip.codec import decode_infer
from tfleet.worker.model.signature import Signature

ARRAYS = {
    "BOOL": np.array([True, False]),
    "UINT8": np.array([0, 255], np.uint8),
    "UINT16": np.array([1, 65_535], np.uint16),
    "UINT32": np.array([1, 2**32 - 1], np.uint32),
    "UINT64": np.array([1, 2**64 - 1], np.uint64),
    "INT8": np.array([-128, 127], np.int8),
    "INT16": np.array([-1, 300], np.int16),
    "INT32": np.array([-1, 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 2**53 + 1], np.int64),
    "FP16": np.array([1.5, np.nan], np.float16),
    "BF16": np.array([1.5, np.inf], ml_dtypes.bfloat16),
    "FP32": np.array([0.1, -np.inf], np.float32),
    "FP64": np.array([0.1, 1e300]),
}


def model(dtype: str, shape: tuple[int | None, ...] | None = None) -> Signature:
    return signature(info("x", dtype, shape))


@pytest.mark.parametrize("kind", ARRAYS)
def test_each_datatype_is_read_as_it_lies(kind: str) -> None:
    array = ARRAYS[kind]
    content, header = binary(kind, (1, 2, 1), array.tobytes())
    found = read(content, model(str(array.dtype)), header).inputs["x"]
    assert (found.shape, found.dtype, found.tobytes()) == ((1, 2, 1), array.dtype, array.tobytes())


def test_strings_have_their_lengths_before_them() -> None:
    content, header = binary("BYTES", (3, 1), strings(b"Ada", b"", b"\x00\xff"))
    assert read(content, model("string"), header).inputs["x"].tolist() == [[b"Ada"], [b""], [b"\x00\xff"]]


def test_tensors_follow_each_other_in_the_order_of_inputs() -> None:
    age, name = np.array([3, 4], np.int32).tobytes(), strings(b"Ada", b"Bob")
    parts = [("name", "BYTES", (2, 1), name), ("age", "INT32", (2,), age)]
    head = body(*(tensor(each, kind, shape, binary_data_size=len(data)) for each, kind, shape, data in parts))
    found = read(head + name + age, MIXED, str(len(head))).inputs
    assert (found["age"].tolist(), found["name"].tolist()) == ([3, 4], [[b"Ada"], [b"Bob"]])


def test_one_tensor_may_be_binary_and_another_in_json() -> None:
    age = np.array([3], np.int32).tobytes()
    head = body(tensor("name", "BYTES", (1, 1), ["Ada"]), tensor("age", "INT32", (1,), binary_data_size=4))
    assert read(head + age, MIXED, str(len(head))).inputs["age"].tolist() == [3]


def test_an_empty_tensor_has_no_bytes() -> None:
    content, header = binary("FP32", (0, 4), b"")
    assert read(content, model("float32"), header).inputs["x"].shape == (0, 4)
    content, header = binary("BYTES", (0,), b"")
    assert read(content, model("string"), header).inputs["x"].shape == (0,)


@pytest.mark.parametrize(
    ("kind", "shape", "data", "said"),
    [
        ("FP32", (2,), bytes(7), "8 bytes, and 7"),
        ("FP32", (2,), bytes(9), "8 bytes, and 9"),
        ("FP32", (3,), bytes(8), "12 bytes"),
        ("FP32", (2**4, 2**60 + 2), bytes(8), "and 8 were sent"),
        ("FP32", (2**62, 4), b"", "and 0 were sent"),
        ("BYTES", (2**62, 4), b"", "and 0 were sent"),
        ("BYTES", (2,), strings(b"a"), "at least 8"),
        ("BYTES", (1,), strings(b"a", b"b"), "left"),
        ("BYTES", (1,), b"\xff\xff\xff\xff", "beyond"),
        ("BYTES", (1,), strings(b"abc")[:-1], "beyond"),
        ("BYTES", (2,), b"\x02\x00\x00\x00ab\x00\x00", "beyond"),
        ("BYTES", (1,), b"\x00\x00", "at least 4"),
        ("BOOL", (2,), b"\x01\x02", "0 or 1"),
    ],
)
def test_a_shape_accounts_for_every_byte(kind: str, shape: tuple[int, ...], data: bytes, said: str) -> None:
    dtype = {"FP32": "float32", "BYTES": "string", "BOOL": "bool"}[kind]
    content, header = binary(kind, shape, data)
    assert said in refused(content, model(dtype), header)


def test_bytes_that_belong_to_no_tensor_are_refused() -> None:
    content, header = binary("FP32", (1,), bytes(4))
    assert "5 bytes" in refused(content + b"!", model("float32"), header)
    assert "left" in refused(content[:-1], model("float32"), header)
    head = body(tensor("x", "FP32", (1,), [1.0]))
    assert "1 bytes" in refused(head + b"!", model("float32"), str(len(head)))


@pytest.mark.parametrize("header", ["-1", "1e3", "", "0x10", "+7", "1" * 400, "9" * 15, "\u0661", "7, 7"])
def test_a_length_of_json_that_is_none_is_refused(header: str) -> None:
    content, _ = binary("FP32", (1,), bytes(4))
    assert "Inference-Header-Content-Length" in refused(content, model("float32"), header)


def test_a_wrong_length_of_json_is_noticed() -> None:
    content, header = binary("FP32", (1,), bytes(4))
    assert "JSON" in refused(content, model("float32"), str(int(header) - 1))
    assert "JSON" in refused(content, model("float32"), str(int(header) + 1))
    assert "JSON" in refused(content, model("float32")), "without the header all of it is JSON"
    head = content[: int(header)]
    assert "left" in refused(head, model("float32")), "and so there is no binary part"


@pytest.mark.parametrize("size", [-1, 1.5, True, "4", 2**64, [4]])
def test_a_size_of_binary_data_is_a_number(size: object) -> None:
    head = body(tensor("x", "FP32", (1,), binary_data_size=size))
    assert "binary_data_size" in refused(head + bytes(4), model("float32"), str(len(head)))


def test_data_come_in_one_of_the_two_forms() -> None:
    head = body(tensor("x", "FP32", (1,), [1.0], binary_data_size=4))
    assert "both" in refused(head + bytes(4), model("float32"), str(len(head)))
    assert "neither" in refused(body(tensor("x", "FP32", (1,))), model("float32"))


def test_what_strings_take_is_reserved_before_they_are_made() -> None:
    reserved: list[int] = []
    content, header = binary("BYTES", (1000,), strings(*[b"abc"] * 1000))
    decode_infer(content, header, model("string"), InputLimits(reserve=reserved.append))
    assert sum(reserved) > 60_000
    with pytest.raises(ProblemError) as error:
        decode_infer(content, header, model("string"), InputLimits(values=900))
    assert error.value.problem.status == 413


def test_inputs_together_have_a_limit() -> None:
    content, header = binary("FP32", (300,), bytes(1200))
    with pytest.raises(ProblemError) as error:
        decode_infer(content, header, model("float32"), InputLimits(tensor_bytes=1000))
    assert error.value.problem.status == 413


def test_numbers_are_not_copied() -> None:
    content, header = binary("FP32", (300,), bytes(1200))
    found = decode_infer(content, header, model("float32"), LIMITS).inputs["x"]
    assert not found.flags.owndata
    assert not found.flags.writeable
