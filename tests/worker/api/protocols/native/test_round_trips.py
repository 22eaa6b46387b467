"""What is encoded in any form and decoded again is what it was, to the bit."""

from __future__ import annotations

import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from tests.worker.api.protocols.signatures import ARROW, CSV, JSON, NPY, NPZ, Shape, info, signature
from tfleet.worker.api.protocols.native import DecodedInputs, decode, decode_query, encode
from tfleet.worker.model.signature import Signature

NUMBERS = (
    "float16",
    "float32",
    "float64",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
DTYPES = st.sampled_from([np.dtype(name) for name in (*NUMBERS, "bool")])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
STRINGS = st.one_of(TEXTS.map(str.encode), st.binary(max_size=8))


def echo(
    model: Signature, inputs: dict[str, Any], media_type: str, *, one_row: bool = False
) -> DecodedInputs:
    """The inputs, encoded as if a model had answered with them, and decoded again."""
    rows = len(next(iter(inputs.values())))
    answered = Signature("echo", (), model.inputs)
    body = encode(inputs, DecodedInputs(inputs, rows, one_row), media_type, answered)
    if media_type == JSON:
        body = json.dumps(json.loads(body)["outputs"]).encode()
    return decode(body, media_type, model)


def assert_same(decoded: DecodedInputs, inputs: dict[str, Any]) -> None:
    assert decoded.inputs.keys() == inputs.keys()
    for name, array in inputs.items():
        found = decoded.inputs[name]
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        if array.dtype == object:
            assert found.tolist() == array.tolist()
        else:
            wide = np.float64 if array.dtype == ml_dtypes.bfloat16 else array.dtype
            np.testing.assert_array_equal(found.astype(wide), array.astype(wide))


@pytest.mark.parametrize("media_type", [JSON, ARROW, NPY, NPZ])
@given(data=st.data(), dtype=DTYPES, size=st.integers(2, 4))
@pytest.mark.process
def test_a_vector_of_any_dtype(media_type: str, data: st.DataObject, dtype: Any, size: int) -> None:
    rows = data.draw(st.integers(1, 4))
    array = data.draw(some.arrays(dtype, (rows, size)))
    model = signature(info("x", dtype.name, (None, size)))
    assert_same(echo(model, {"x": array}, media_type), {"x": array})


@pytest.mark.parametrize("media_type", [JSON, ARROW, NPZ])
@given(data=st.data(), rows=st.integers(1, 3))
@pytest.mark.process
def test_several_inputs_of_any_shape(media_type: str, data: st.DataObject, rows: int) -> None:
    inputs, infos = {}, []
    for name in ("a", "b:c", 'd"\u00e9'):
        dtype = data.draw(DTYPES)
        dims = data.draw(st.lists(st.integers(1, 3), max_size=3))
        inputs[name] = data.draw(some.arrays(dtype, (rows, *dims)))
        shape: Shape = (None, *(None if data.draw(st.booleans()) and size > 1 else size for size in dims))
        infos.append(info(name, dtype.name, shape))
    assert_same(echo(signature(*infos), inputs, media_type), inputs)


@pytest.mark.parametrize("media_type", [JSON, NPY])
@given(data=st.data(), dtype=DTYPES)
@pytest.mark.process
def test_one_row_without_its_dimension(media_type: str, data: st.DataObject, dtype: Any) -> None:
    array = data.draw(some.arrays(dtype, (1, 2, 3)))
    decoded = echo(signature(info("x", dtype.name, (None, 2, 3))), {"x": array}, media_type, one_row=True)
    assert decoded.one_row
    assert_same(decoded, {"x": array})


@pytest.mark.parametrize("media_type", [JSON, ARROW])
@given(texts=st.lists(STRINGS, min_size=1, max_size=5))
def test_strings_of_any_bytes(media_type: str, texts: list[bytes]) -> None:
    array = np.array([*texts, None], object)[:-1]
    assert_same(echo(signature(info("x", "string", (None,))), {"x": array}, media_type), {"x": array})


@pytest.mark.parametrize("media_type", [JSON, ARROW, NPY])
@given(bits=st.lists(st.integers(0, 65535), min_size=2, max_size=5))
def test_bfloat16(media_type: str, bits: list[int]) -> None:
    array = np.array(bits, np.uint16).view(ml_dtypes.bfloat16)
    with np.errstate(invalid="ignore"):
        assert_same(echo(signature(info("x", "bfloat16", (None,))), {"x": array}, media_type), {"x": array})


@given(data=st.data(), dtype=DTYPES)
@pytest.mark.process
def test_whole_tensors(data: st.DataObject, dtype: Any) -> None:
    shape = data.draw(some.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    array = data.draw(some.arrays(dtype, shape))
    model = signature(info("x", dtype.name, shape))
    answered = Signature("echo", (), model.inputs)
    for media_type in (JSON, NPZ):
        body = encode({"x": array}, DecodedInputs({}, 1, whole=True), media_type, answered)
        body = json.dumps(json.loads(body)["outputs"]).encode() if media_type == JSON else body
        assert_same(decode(body, media_type, model), {"x": array})


@given(data=st.data(), dtype=DTYPES)
@pytest.mark.process
def test_csv_and_query_rows(data: st.DataObject, dtype: Any) -> None:
    array = data.draw(some.arrays(dtype, (data.draw(st.integers(1, 4)), 2)))
    model = signature(info("a", dtype.name, (None,)), info("b", dtype.name, (None, 1)))
    texts = [[str(value) for value in row] for row in array]
    lines = [",".join(reversed(row)) for row in texts]
    decoded = decode("\r\n".join(["b,a", *lines]).encode(), CSV, model)
    assert_same(decoded, {"a": array[:, 0], "b": array[:, 1:]})
    one = decode_query([("b", texts[0][1]), ("a", texts[0][0])], model)
    assert_same(one, {"a": array[:1, 0], "b": array[:1, 1:]})
