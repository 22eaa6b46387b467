import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.support.cpu_time import cost_ratio
from tests.worker.api.protocols.signatures import (
    ABC,
    IMAGE,
    JSON,
    MIXED,
    SEQUENCE,
    TABLE,
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
from tfleet.worker.api.protocols.native import DecodedInputs, decode
from tfleet.worker.model.signature import Signature

ROW = {f"G{number}": number / 10 for number in range(10, 0, -1)}
AS_COLUMNS = {f"G{number}": [[np.float32(number / 10).item()]] * 2 for number in range(1, 11)}


def read(model: Signature, document: Any, columns: tuple[str, ...] = ()) -> DecodedInputs:
    return decode(raw(document), JSON, model, columns)


def raw(document: Any) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def test_one_row_of_names_has_one_row() -> None:
    decoded = read(TABLE, ROW)
    assert (decoded.rows, decoded.one_row, decoded.whole) == (1, True, False)
    assert values(decoded) == {name: column[:1] for name, column in AS_COLUMNS.items()}
    assert {array.shape for array in decoded.inputs.values()} == {(1, 1)}


@pytest.mark.parametrize(
    "document",
    [
        [ROW, ROW],
        [ROW, dict(sorted(ROW.items()))],
        {name: [value, value] for name, value in ROW.items()},
        {name: [[value], [value]] for name, value in ROW.items()},
        [{name: [value] for name, value in ROW.items()}] * 2,
    ],
)
def test_rows_and_columns_are_the_same_table(document: Any) -> None:
    decoded = read(TABLE, document)
    assert (decoded.rows, decoded.one_row) == (2, False)
    assert values(decoded) == AS_COLUMNS


@pytest.mark.parametrize(
    ("document", "expected", "one_row"),
    [
        ([1, 2, 3], [[1, 2, 3]], True),
        ([[1, 2, 3]], [[1, 2, 3]], False),
        ([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]], False),
        ({"G": [1, 2, 3]}, [[1, 2, 3]], True),
        ({"G": [[1, 2, 3], [4, 5, 6]]}, [[1, 2, 3], [4, 5, 6]], False),
        ([{"G": [1, 2, 3]}, {"G": [4, 5, 6]}], [[1, 2, 3], [4, 5, 6]], False),
    ],
)
def test_a_vector_takes_lists_of_its_length(document: Any, expected: Any, one_row: bool) -> None:
    decoded = read(VECTOR, document)
    assert values(decoded) == {"G": expected}
    assert (decoded.rows, decoded.one_row) == (len(expected), one_row)


@pytest.mark.parametrize(
    ("document", "expected", "one_row"),
    [
        ({"c": 3, "a": 1, "b": 2}, [[1, 2, 3]], True),
        ([{"c": 3, "a": 1, "b": 2}, {"b": 5, "a": 4, "c": 6}], [[1, 2, 3], [4, 5, 6]], False),
        ({"c": [3, 6], "b": [2, 5], "a": [1, 4]}, [[1, 2, 3], [4, 5, 6]], False),
        ({"G": [1, 2, 3]}, [[1, 2, 3]], True),
    ],
)
def test_named_columns_are_put_in_their_order(document: Any, expected: Any, one_row: bool) -> None:
    decoded = read(VECTOR, document, ABC)
    assert values(decoded) == {"G": expected}
    assert decoded.one_row == one_row


@pytest.mark.parametrize(
    ("model", "document", "expected", "one_row"),
    [
        (SEQUENCE, [1, 2, 3, 4], {"chars": [[1, 2, 3, 4]]}, True),
        (SEQUENCE, [[1, 2], [3, 4]], {"chars": [[1, 2], [3, 4]]}, False),
        (SEQUENCE, {"chars": []}, {"chars": [[]]}, True),
        (IMAGE, [[1, 2], [3, 255]], {"image": [[[1, 2], [3, 255]]]}, True),
        (IMAGE, {"image": [[[1, 2], [3, 4]]]}, {"image": [[[1, 2], [3, 4]]]}, False),
        (
            VIDEO,
            {"video": [[1, 2], [3, 4]], "question": [5, 6]},
            {"video": [[[1, 2], [3, 4]]], "question": [[5, 6]]},
            True,
        ),
        (
            VIDEO,
            [{"question": [5, 6], "video": [[1, 2], [3, 4]]}],
            {"video": [[[1, 2], [3, 4]]], "question": [[5, 6]]},
            False,
        ),
        (MIXED, {"name": "Ada", "age": 36}, {"name": [[b"Ada"]], "age": [36]}, True),
        (MIXED, {"name": ["Ada", ""], "age": [36, 1]}, {"name": [[b"Ada"], [b""]], "age": [36, 1]}, False),
        (TEXT, "h\u00e9", {"text": [["h\u00e9".encode()]]}, True),
        (TEXT, {"b64": "/w=="}, {"text": [[b"\xff"]]}, True),
        (TEXT, {"text": {"b64": "/w\n=="}}, {"text": [[b"\xff"]]}, True),
        (TEXT, ["a:b", {"b64": "AA=="}], {"text": [[b"a:b"], [b"\0"]]}, False),
        (TEXT, [["a"], ["b"]], {"text": [[b"a"], [b"b"]]}, False),
        (column("bool"), [True, False], {"x": [True, False]}, False),
    ],
)
def test_values_have_the_shape_of_the_input(
    model: Signature, document: Any, expected: Any, one_row: bool
) -> None:
    decoded = read(model, document)
    assert values(decoded) == expected
    assert decoded.one_row == one_row
    for name, array in decoded.inputs.items():
        found = model.input(name)
        assert found is not None
        assert found.shape is not None
        assert array.ndim == len(found.shape)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"a": [1, 2], "b": 3}, {"a": [1, 2], "b": 3}),
        (b'{"b": NaN, "a": [Infinity, -Infinity]}', {"a": [np.inf, -np.inf], "b": np.nan}),
    ],
)
def test_a_signature_without_rows_takes_complete_tensors(document: Any, expected: Any) -> None:
    decoded = read(TENSORS, document)
    assert decoded.whole
    assert not decoded.one_row
    for name, array in decoded.inputs.items():
        np.testing.assert_array_equal(array, np.array(expected[name]))


@pytest.mark.parametrize(
    ("document", "shape"), [(3, ()), ([3], (1,)), ([[1, 2], [3, 4]], (2, 2)), ([[]], (1, 0))]
)
def test_an_unknown_rank_is_that_of_the_value(document: Any, shape: tuple[int, ...]) -> None:
    model = signature(info("u", "float32", None))
    assert read(model, document).inputs["u"].shape == shape
    assert read(model, {"u": document}).inputs["u"].shape == shape


def test_an_optional_input_may_be_left_out() -> None:
    model = signature(
        info("x", "float32", (None,)),
        info("weight", "float32", (None,), optional=True),
        info("keep", "float32", (), optional=True),
    )
    assert values(read(model, {"x": [1, 2]})) == {"x": [1, 2]}
    assert values(read(model, [{"x": 1, "weight": 2}])) == {"x": [1], "weight": [2]}
    whole = read(model, {"x": [1, 2], "keep": 0.5})
    assert values(whole) == {"x": [1, 2], "keep": 0.5}
    assert whole.whole


def test_where_all_inputs_are_optional_a_row_has_one() -> None:
    model = signature(*(info(name, "float32", (None,), optional=True) for name in "ab"))
    assert values(read(model, [{"b": 1}, {"b": 2}])) == {"b": [1, 2]}
    assert "lacks 'a', 'b'" in refused(b"{}", JSON, model)
    assert "row 1 (the first is 0) lacks 'b'" in refused(b'[{"b": 1}, {}]', JSON, model)
    assert read(signature(info("a", "float32", (), optional=True)), {}).inputs == {}


def test_a_signature_without_inputs_takes_an_empty_object() -> None:
    assert read(signature(), {}).inputs == {}


def test_a_byte_order_mark_is_accepted() -> None:
    assert values(read(column("int8"), b"\xef\xbb\xbf[1]")) == {"x": [1]}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({**ROW, "G11": 1}, "has 'G11', unknown to the model"),
        ({"G1": 1}, "lacks 'G10', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8', 'G9': send"),
        ([ROW, {"G1": 1}], "row 1 (the first is 0) lacks 'G10', 'G2'"),
        ([ROW, {**ROW, "g1": 1}], "row 1 (the first is 0) has 'g1', unknown"),
        ([ROW, 5], "row 1 (the first is 0) is 5, and row 0 is an object"),
        ([1] * 10, "have no names: send each row as an object with 'G1', 'G10', 'G2'"),
        ({**ROW, "G4": [1]}, "'G4' is a list of rows and 'G10' is the value of one row"),
        ({**{name: [1, 2] for name in ROW}, "G4": [1]}, "column 'G4' has 1 rows and 'G10' has 2"),
        ([ROW, {**ROW, "G3": None}], "column 'G3', row 1 (the first is 0): null is no float32"),
        ({**ROW, "G3": None}, "column 'G3': null is no float32"),
        ({**ROW, "G3": "0.5"}, "column 'G3': the string '0.5' is not a number: send float32 without quotes"),
        ({**ROW, "G3": {"b64": "AA=="}}, "column 'G3': {\"b64\": ...} is for strings"),
        ([], "has no rows"),
        ({name: [] for name in ROW}, "has no rows"),
        ({}, "lacks 'G1'"),
        ({"instances": [ROW]}, 'or the list of rows alone, without {"instances": ...}'),
        (b"{", "the body is not JSON: unexpected end"),
        (b"\xff", "the body is not JSON"),
        (b'{"G1": 1, "G1": 2' + raw(ROW).replace(b"{", b", ", 1), "'G1' occurs twice"),
        (b"[" * 100_000, "the body is not JSON: depth limit"),
        (b'[NaN, {"G1":' * 50_000, "nested too deeply"),
        (raw({**ROW, "G1": "X"}).replace(b'"X"', b"1e400"), "column 'G1': a number beyond 1.8e308 is out of"),
        (raw({**ROW, "G1": "X"}).replace(b'"X"', b"1e39"), "column 'G1': 1e+39 is out of range for float32"),
    ],
)
def test_a_bad_table_is_refused_with_row_and_column(document: Any, said: str) -> None:
    assert said in refused(raw(document), JSON, TABLE)


@pytest.mark.parametrize(
    ("model", "columns", "document", "said"),
    [
        (VECTOR, (), [1, 2], "input 'G': a list of 2 values stands where 3 are wanted"),
        (VECTOR, (), [[1, 2, 3], [1]], "input 'G', row 1 (the first is 0): a list of 1 value stands"),
        (
            VECTOR,
            (),
            {"a": 1, "b": 2, "c": 3},
            'send rows as lists of 3 values, or write columns = ["FIRST", "SECOND", ...] with 3 names under '
            "[model] in model.toml of the model's folder",
        ),
        (VECTOR, (), 5, "a list 1 deep for one row, or 2 deep for many"),
        (VECTOR, (), [[[1]]], "a list of 1 value stands where 3 are wanted"),
        (VECTOR, ABC, [1, 2, 3], "have no names: send each row as an object with 'a', 'b', 'c'"),
        (
            VECTOR,
            ABC,
            [{"a": 1, "b": 2, "c": True}],
            "column 'c', row 0 (the first is 0): true is not a number",
        ),
        (IMAGE, (), [[0, 1], [2, 300]], "input 'image' at [1, 1]: 300 is out of range for uint8 (0 to 255)"),
        (
            IMAGE,
            (),
            [[[0, 1], [2, 3]]] * 2 + [[[0, 1], 5]],
            "row 2 (the first is 0) at [1]: 5 stands where a list",
        ),
        (
            SEQUENCE,
            (),
            [[1, 2], [3]],
            "a list of 1 value stands beside one of 2: rows of one body have the same",
        ),
        (SEQUENCE, (), [], "has no rows"),
        (TEXT, (), {"text": {"b64": "_w=="}}, "the alphabet is the one with + and /"),
        (
            TEXT,
            (),
            {"text": {"b64": "/w"}},
            "the value of b64 is not base64 (incorrect padding; fill it up with =",
        ),
        (TEXT, (), {"text": {"b64": "AA==", "x": 1}}, "an object is not a string"),
        (TEXT, (), [5], "column 'text', row 0 (the first is 0): 5 is not a string"),
        (TEXT, (), b'{"text": "\\ud800"}', "column 'text': the string has half of a surrogate pair"),
        (TEXT, (), b'["\\ud800", NaN]', "half of a surrogate pair"),
        (TEXT, (), b'[{"b64": "AA==", "b64": "AQ=="}]', "'b64' occurs twice"),
        # The escaped colon must not make up for that of the double key.
        (TEXT, (), b'{"text": "x", "text": "\\u003a"}', "'text' occurs twice"),
        (signature(info("u", "float32", None)), (), b"[" * 33 + b"]" * 33, "more than 32 lists deep"),
        (TENSORS, (), [{"a": [1, 2], "b": 3}], "without a dimension for rows: send complete tensors"),
        (TENSORS, (), {"a": [1, 2, 3], "b": 3}, "input 'a': a list of 3 values stands where 2 are wanted"),
        (TENSORS, (), {"a": [1, None], "b": 3}, "input 'a' at [1]: null is no float32"),
        (TENSORS, (), {"a": 1, "b": 3}, "input 'a' takes shape [2], and the body's value is 0 lists deep"),
        (signature(info("z", "complex64", (None,))), (), [1], "send .npy or .npz"),
        (signature(info("h", "resource", (None,))), (), [1], "dtype resource, which cannot be sent"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(
    model: Signature, columns: tuple[str, ...], document: Any, said: str
) -> None:
    assert said in refused(raw(document), JSON, model, columns)


@pytest.mark.process
def test_a_document_of_too_many_values_is_refused_unparsed() -> None:
    assert "about 2097153 values" in refused(b"[" + b"," * 2_097_151, JSON, VECTOR, status=413)
    assert "about 262145 objects" in refused(b"{" * 262_145, JSON, VECTOR, status=413)
    assert "has 65537 rows" in refused(raw([[1, 2, 3]] * 65_537), JSON, VECTOR, status=413)


def test_what_only_the_parser_for_keys_refuses_is_a_400() -> None:
    # A later value hides the first one, and Python's parser reads both to find the double key.
    body = b'{"x":' + b"[" * 1000 + b"]" * 1000 + b',"x":1}'
    assert "nested too deeply" in refused(body, JSON, column("float32"))


def test_a_double_key_among_many_is_found_in_linear_time() -> None:
    def found(keys: int) -> Callable[[], str]:
        hidden = b",".join(b'"%d":1' % number for number in [*range(keys), keys - 1])
        return partial(refused, b'{"x":{' + hidden + b'},"x":1}', JSON, column("float32"))

    many, few = found(20_000), found(4_000)
    assert "'19999' occurs twice" in many()
    # Five times as many keys: 25 if each were compared with all others.
    assert cost_ratio(many, few) < 12
