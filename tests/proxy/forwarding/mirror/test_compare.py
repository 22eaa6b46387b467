"""Whether two answers say the same: labels, top-1, texts, numbers, and what can't be compared."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.proxy.balancing.mirror_counts import MirrorResult
from tfleet.proxy.forwarding.mirror.compare import Answer, Comparison, compare

AGREED, DIFFERED = MirrorResult.AGREED, MirrorResult.DIFFERED
MEASURED, NOT_COMPARABLE = MirrorResult.MEASURED, MirrorResult.NOT_COMPARABLE

JSON = b"application/json"


def answer(body: bytes, *, status: int = 200, kind: bytes = JSON, encoding: bytes = b"") -> Answer:
    return Answer(status, kind, encoding, body)


def said(**fields: Any) -> Answer:
    return answer(json.dumps({"success": True, **fields}).encode())


def of_values(one: Any, other: Any) -> Comparison:
    return compare(said(outputs={"y": one}), said(outputs={"y": other}))


def ranking(*pairs: tuple[str, float], name: str = "probability") -> list[dict[str, object]]:
    return [{"label": label, name: value} for label, value in pairs]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (
            ranking(("cat", 0.75), ("dog", 0.25)),
            ranking(("cat", 0.5), ("dog", 0.25)),
            Comparison(AGREED, 0.25),
        ),
        (
            ranking(("cat", 0.75), ("dog", 0.25)),
            ranking(("dog", 0.5), ("cat", 0.5)),
            Comparison(DIFFERED, 0.25),
        ),
        (ranking(("cat", 0.75)), ranking(("cat", 3.5), name="score"), Comparison(AGREED)),
        (ranking(("cat", 0.75)), ranking(("cat", 0.5), ("new", 0.25)), Comparison(AGREED, 0.25)),
        (
            [ranking(("a", 1.0)), ranking(("b", 1.0))],
            [ranking(("a", 1.0)), ranking(("a", 0.5))],
            Comparison(DIFFERED),
        ),
        ([ranking(("a", 1.0))], [ranking(("a", 1.0)), ranking(("a", 1.0))], Comparison(NOT_COMPARABLE)),
    ],
)
def test_the_first_label_counts(one: Any, other: Any, expected: Comparison) -> None:
    assert compare(said(predictions=one), said(predictions=other)) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0.25, 0.75], [0.5, 0.5], Comparison(DIFFERED, 0.25)),
        ([0.25, 0.75], [0.125, 0.875], Comparison(AGREED, 0.125)),
        ([[0.25, 0.75], [1.0, 0.0]], [[0.125, 0.875], [0.25, 0.75]], Comparison(DIFFERED, 0.75)),
        ([3.0, 5.0], [5.0, 3.0], Comparison(MEASURED, 2.0)),
        ([[3.0], [5.0]], [[3.0], [4.5]], Comparison(MEASURED, 0.5)),
        (3.0, 2.5, Comparison(MEASURED, 0.5)),
        (3.0, 3, Comparison(AGREED)),
        (3, 4, Comparison(DIFFERED)),
        ([1, 2], [1, 2.5], Comparison(MEASURED, 0.5)),
        ("cat", "dog", Comparison(DIFFERED)),
        (["cat"], ["cat"], Comparison(AGREED)),
        (True, False, Comparison(DIFFERED)),
        ([], [], Comparison(AGREED)),
        ({"b64": "AA=="}, {"b64": "AQ=="}, Comparison(DIFFERED)),
        ([math.nan, 1.0], [math.nan, 1.5], Comparison(MEASURED, 0.5)),
        (math.nan, 1.0, Comparison(DIFFERED)),
        (math.inf, math.inf, Comparison(AGREED)),
        (math.inf, -math.inf, Comparison(DIFFERED)),
        ([math.inf, 1.0], [1.0, 1.25], Comparison(DIFFERED, 0.25)),
    ],
)
def test_values_are_compared_by_their_kind(one: Any, other: Any, expected: Comparison) -> None:
    assert of_values(one, other) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1.0, 2.0], [1.0]),
        ([[1.0], [2.0]], [[1.0, 2.0], []]),
        (1.0, "1"),
        (1.0, True),
        ({"a": 1.0}, {"b": 1.0}),
        (None, 1.0),
        (1.5, 10**400),
    ],
)
def test_other_shapes_can_t_be_compared(one: Any, other: Any) -> None:
    assert of_values(one, other) == Comparison(NOT_COMPARABLE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (said(outputs={"y": 1.0}), said(predictions=[])),
        (said(outputs={"y": 1.0}), said(outputs={"z": 1.0})),
        (said(outputs={"y": 1.0}), answer(b"{")),
        (answer(b"[1]"), answer(b"[2]")),
        (answer(b"[" * 30_000), answer(b"[" * 30_001)),
        (answer(b"a,b", kind=b"text/csv"), answer(b"a,c", kind=b"text/csv")),
        (answer(b"a", encoding=b"gzip"), answer(b"b", encoding=b"gzip")),
        (said(outputs={"y": 1.0}), answer(b"y\n1.0\n", kind=b"text/csv")),
    ],
)
def test_other_documents_can_t_be_compared(one: Answer, other: Answer) -> None:
    assert compare(one, other) == Comparison(NOT_COMPARABLE)


def test_the_same_bytes_agree_in_any_form() -> None:
    assert compare(answer(b"\x93NUMPY", kind=b"a"), answer(b"\x93NUMPY", kind=b"a")) == Comparison(AGREED)


def test_a_refusal_differs() -> None:
    assert compare(said(outputs={"y": 1.0}), answer(b"{}", status=400)) == Comparison(DIFFERED)


def test_what_names_the_version_is_left_out() -> None:
    one, other = said(outputs={"y": 1.0}, model_version="1"), said(outputs={"y": 1.0}, model_version="2")
    assert compare(one, other) == Comparison(AGREED)


NUMBERS = st.one_of(st.floats(width=32), st.integers(-(2**53), 2**53))
VALUES = st.recursive(
    st.one_of(NUMBERS, st.text(max_size=3), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_agrees_with_itself(value: Any) -> None:
    # Not the same bytes: else nothing would be read.
    other = answer(json.dumps({"outputs": {"y": value}}, indent=1).encode())
    assert compare(said(outputs={"y": value}), other) == Comparison(AGREED)


@given(VALUES, VALUES)
def test_any_two_values_have_a_result_both_ways(one: Any, other: Any) -> None:
    there, back = of_values(one, other), of_values(other, one)
    assert math.isfinite(there.difference)
    assert there.difference >= 0
    if MEASURED in {there.result, back.result}:
        # Only the stable version's numbers say whether they are probabilities.
        assert NOT_COMPARABLE not in {there.result, back.result}
    assert there.difference == back.difference


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(-10, 10))
def test_the_difference_is_the_largest(values: list[float], shift: float) -> None:
    moved = [value + shift for value in values]
    expected = max(abs(one - other) for one, other in zip(values, moved, strict=True))
    assert of_values(values, moved).difference == expected
    assert of_values([[one] for one in values], [[one] for one in moved]).difference == expected


def tensor(data: Any, shape: list[int], name: str = "y", datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([tensor([1.5, 2.5], [2])], [tensor([1.5, 2.0], [2])], Comparison(MEASURED, 0.5)),
        ([tensor([1.5, 2.5], [2])], [tensor([1.5, 2.5], [2])], Comparison(AGREED)),
        ([tensor([1.5], [1])], [tensor([1.5], [1], name="z")], Comparison(NOT_COMPARABLE)),
        ([tensor([1.5, 2.5], [2])], [tensor([1.5, 2.5], [2, 1])], Comparison(NOT_COMPARABLE)),
        ([tensor([1], [1], datatype="INT32")], [tensor([1], [1])], Comparison(NOT_COMPARABLE)),
        ([tensor(["a"], [1])], [tensor(["b"], [1])], Comparison(DIFFERED)),
        (
            [tensor([0.75, 0.25, 0.25, 0.75], [2, 2])],
            [tensor([0.75, 0.25, 0.75, 0.25], [2, 2])],
            Comparison(DIFFERED, 0.5),
        ),
        ([tensor([[1.5], [2.5]], [2, 1])], [tensor([[1.5], [2.5]], [2, 1])], Comparison(AGREED)),
        ([tensor([], [0, 2])], [tensor([], [0, 2])], Comparison(AGREED)),
    ],
)
def test_of_tensors_with_names_the_values_are_compared(one: Any, other: Any, expected: Comparison) -> None:
    answers = (
        said(model_name="m", model_version=str(n), outputs=each) for n, each in enumerate((one, other))
    )
    assert compare(*answers) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([[["a", 0.75], ["b", 0.25]]], [[["a", 0.5], ["b", 0.25]]], Comparison(AGREED, 0.25)),
        ([[["a", 0.75]]], [[["b", 0.75]]], Comparison(DIFFERED)),
        ([2.5, 3.0], [2.5, 3.5], Comparison(MEASURED, 0.5)),
    ],
)
def test_results_of_tensorflow_serving_are_compared(one: Any, other: Any, expected: Comparison) -> None:
    assert compare(said(results=one), said(results=other)) == expected
