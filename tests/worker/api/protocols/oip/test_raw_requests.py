"""Requests without a JSON part: the body is the one input."""

import numpy as np
import pytest

from tests.worker.api.protocols.oip.bodies import read, refused
from tests.worker.api.protocols.signatures import MIXED, Shape, info, signature


@pytest.mark.parametrize(
    ("shape", "values", "expected"),
    [
        ((None,), 8, (8,)),
        ((8,), 8, (8,)),
        ((), 1, ()),
        ((None, 8), 8, (1, 8)),
        ((None, None), 8, (1, 8)),
        ((None, 2, None), 8, (1, 2, 4)),
        ((2, None), 8, (2, 4)),
        ((None, 2, 2), 4, (1, 2, 2)),
    ],
)
def test_the_shape_follows_from_the_size(shape: Shape, values: int, expected: tuple[int, ...]) -> None:
    array = np.arange(values, dtype=np.float32)
    found = read(array.tobytes(), signature(info("x", "float32", shape)), "0")
    assert found.inputs["x"].shape == expected
    assert found.inputs["x"].reshape(-1).tolist() == array.tolist()
    assert found.wanted.binary_output
    assert found.wanted.id is None


@pytest.mark.parametrize(
    ("shape", "size", "said"),
    [
        (None, 8, "any rank"),
        ((None, None, None), 16, "don't follow"),
        ((2, None, None), 16, "don't follow"),
        ((None, 8), 64, "64 bytes"),
        ((None, 8), 28, "28 bytes"),
        ((3,), 8, "8 bytes"),
        ((None,), 6, "6 bytes"),
        ((None, 0, None), 8, "8 bytes"),
    ],
)
def test_a_shape_that_does_not_follow_is_refused(shape: Shape, size: int, said: str) -> None:
    assert said in refused(bytes(size), signature(info("x", "float32", shape)), "0")


@pytest.mark.parametrize("shape", [(1,), (None,), (None, 1), ()])
def test_a_string_is_the_whole_body(shape: tuple[int | None, ...]) -> None:
    found = read(b"427", signature(info("x", "string", shape)), "0").inputs["x"]
    assert found.shape == (1,) * len(shape)
    assert found.reshape(-1).tolist() == [b"427"]


def test_several_strings_need_a_json_part() -> None:
    for shape in ((2,), (None, 3), None):
        assert "one string" in refused(b"427", signature(info("x", "string", shape)), "0")


def test_several_inputs_need_a_json_part() -> None:
    assert "it has 2" in refused(b"427", MIXED, "0")


def test_a_dtype_without_a_name_is_refused() -> None:
    assert "complex64" in refused(bytes(8), signature(info("x", "complex64", (1,))), "0")
