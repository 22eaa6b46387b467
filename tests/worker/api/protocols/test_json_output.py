import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.worker.api.protocols.signatures import ARROW, CSV, JSON, NPY, NPZ, info, signature
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.json_output import json_value
from tfleet.worker.api.protocols.native import DecodedInputs, InputLimits, encode

BFLOAT16 = ml_dtypes.bfloat16


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([0.1, 1e-7, 3, -0.0, 16777216], np.float32), "[0.1,1e-7,3.0,-0.0,16777216.0]"),
        (np.array([0.1, 1 / 3], np.float64), "[0.1,0.3333333333333333]"),
        (np.array([0.1, 1 / 3], np.float16), "[0.1,0.3333]"),
        (np.array([0.1, 1 / 3], BFLOAT16), "[0.1,0.334]"),
        (np.array([-(2**63), 2**63 - 1], np.int64), "[-9223372036854775808,9223372036854775807]"),
        (np.array([2**64 - 1], np.uint64), "[18446744073709551615]"),
        (np.array([[1, 2], [3, 4]], np.uint8), "[[1,2],[3,4]]"),
        (np.array([True, False]), "[true,false]"),
        (np.array([np.nan, np.inf, -np.inf, 0.1], np.float32), "[NaN,Infinity,-Infinity,0.1]"),
        (np.array([np.nan, 0.1], np.float16), "[NaN,0.1]"),
        (np.array([np.inf, 0.1], BFLOAT16), "[Infinity,0.1]"),
        (np.array(np.nan, np.float32), "NaN"),
        (np.array(0.1, np.float32), "0.1"),
        (np.array(0.1, np.float16), "0.1"),
        (np.array(7, np.int64), "7"),
        (np.array(True), "true"),
        (np.array(b"a", object), '"a"'),
        (np.array([[b"h\xc3\xa9"], [b"\xff"]], object), '[["h\u00e9"],[{"b64":"/w=="}]]'),
        (np.array(["text"], object), '["text"]'),
        (np.zeros((0, 3), np.float32), "[]"),
        (np.zeros((2, 0), np.float32), "[[],[]]"),
        (np.zeros((0,), object), "[]"),
        (np.arange(6, dtype=">f4").reshape(2, 3)[:, ::2], "[[0.0,2.0],[3.0,5.0]]"),
    ],
)
def test_a_value_is_written_exactly(array: Any, text: str) -> None:
    assert json_value("x", array, InputLimits()).decode() == text


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16])
@pytest.mark.process
def test_every_small_float_round_trips(dtype: Any) -> None:
    every = np.arange(65536, dtype=np.uint16).view(dtype)
    every = every[np.isfinite(every.astype(np.float32))]
    read = np.array(json.loads(json_value("x", every, InputLimits()))).astype(dtype)
    np.testing.assert_array_equal(read.view(np.uint16), every.view(np.uint16))


def test_a_document_has_all_outputs_and_a_line_end() -> None:
    body = encode(
        {"p": np.zeros((2, 1), np.float32), 'a"b': np.ones(2, np.int8)},
        DecodedInputs({}, 2),
        JSON,
        signature(),
    )
    assert body.endswith(b"\n")
    assert json.loads(body) == {"success": True, "outputs": {"p": [[0.0], [0.0]], 'a"b': [1, 1]}}


def test_one_row_loses_the_dimension_of_rows() -> None:
    outputs = {
        "p": np.array([[0.5, 0.25]], np.float32),
        "score": np.array([3.0], np.float32),
        "boxes": np.zeros((2, 4), np.float32),
        "mean": np.array(0.5),
        "table": np.array([[1, 2]]),
    }
    model = signature(
        outputs=[
            info("p", "float32", (None, 2)),
            info("score", "float32", (None,)),
            info("boxes", "float32", (None, 4)),
            info("mean", "float64", ()),
            info("table", "int64", (1, 2)),
        ]
    )
    body = encode(outputs, DecodedInputs({}, 1, one_row=True), JSON, model)
    assert json.loads(body)["outputs"] == {
        "p": [0.5, 0.25],
        "score": 3.0,
        "boxes": [[0, 0, 0, 0], [0, 0, 0, 0]],
        "mean": 0.5,
        "table": [[1, 2]],
    }


@pytest.mark.parametrize(
    ("outputs", "media_type", "said"),
    [
        ({"z": np.array([1j])}, JSON, "output 'z' is complex128, which JSON has not"),
        ({"z": np.array([1j])}, ARROW, "output 'z' is complex128, which Arrow has not"),
        (
            {"m": np.array(0.5)},
            ARROW,
            "output 'm' has shape [], which is not one value for each of the 1 rows",
        ),
        ({"m": np.zeros((3, 2))}, ARROW, "output 'm' has shape [3, 2]"),
        ({"m": np.zeros((1, 0))}, ARROW, "output 'm' has no values in a row"),
        ({"m": np.array(0.5)}, CSV, "output 'm' has shape [], which is not one value"),
        ({"m": np.zeros((1, 2, 2))}, CSV, "output 'm' has shape [1, 2, 2]"),
        ({"m": np.zeros((1, 0))}, CSV, "output 'm' has shape [1, 0]"),
        ({"s": np.array([b"\xff"], object)}, CSV, "output 's' holds bytes that are not UTF-8"),
        ({"a": np.zeros(1), "b": np.zeros(1)}, NPY, "the model has 2 outputs: ask for application/x-npz"),
        ({"s": np.array([b"a"], object)}, NPY, "output 's' holds strings"),
        ({"s": np.array([b"a"], object)}, NPZ, "output 's' holds strings"),
    ],
)
def test_what_a_form_cannot_hold_is_a_406(outputs: dict[str, Any], media_type: str, said: str) -> None:
    with pytest.raises(ProblemError) as error:
        encode(outputs, DecodedInputs({}, 1), media_type, signature())
    assert error.value.problem.status == 406
    assert said in error.value.problem.detail


@pytest.mark.parametrize(
    ("output", "media_type", "said"),
    [
        (np.array([b"a"] * 5, object), JSON, "the answer has 5 strings, more than the 4 allowed"),
        (
            np.array([1, np.nan, 1, 1, 1]),
            JSON,
            "the answer has 5 numbers in an output with NaN or infinities",
        ),
        (np.zeros(5), CSV, "the answer has 5 cells, more than the 4 allowed"),
    ],
)
def test_too_much_to_write_one_by_one_is_a_413(output: Any, media_type: str, said: str) -> None:
    with pytest.raises(ProblemError) as error:
        encode({"p": output}, DecodedInputs({}, 5), media_type, signature(), InputLimits(values=4))
    assert error.value.problem.status == 413
    assert said in error.value.problem.detail
    assert "ask for an Arrow stream" in error.value.problem.detail


def test_numbers_in_json_have_no_limit_of_their_own() -> None:
    assert encode({"p": np.zeros(5)}, DecodedInputs({}, 5), JSON, signature(), InputLimits(values=4))
