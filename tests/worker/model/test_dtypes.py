"""Types have the NumPy type that a session takes and gives."""

import numpy as np
import pytest

from tfleet.worker.model.dtypes import numpy_dtype


@pytest.mark.parametrize(
    ("name", "kind"), [("float32", "f"), ("float16", "f"), ("uint64", "u"), ("bool", "b"), ("string", "O")]
)
def test_a_type_has_its_kind(name: str, kind: str) -> None:
    dtype = numpy_dtype(name)
    assert dtype is not None
    assert dtype.kind == kind


def test_bfloat16_is_an_array_type_too() -> None:
    assert np.array([1.5], numpy_dtype("bfloat16")).astype(float).tolist() == [1.5]


@pytest.mark.parametrize("name", ["resource", "variant", "qint8", "type 99"])
def test_what_no_request_can_carry_has_no_type(name: str) -> None:
    assert numpy_dtype(name) is None
