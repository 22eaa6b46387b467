from __future__ import annotations

import json

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from tfleet.bulk.row_errors import reason, without_row
from tfleet.bulk.tally import MOST_REASONS, OTHER_REASONS, Tally, tally, tally_of


def test_labels_errors_and_confidence_are_counted() -> None:
    labels = pa.array(["cat", "dog", "cat", None])
    probabilities = pa.array([0.05, 1.0, 0.95, None], pa.float32())
    found = tally(4, ["column 'x': no value"], labels, probabilities)
    assert (found.rows, found.scored, found.failed) == (4, 3, 1)
    assert found.labels == {"cat": 2, "dog": 1}
    assert found.reasons == {"column 'x': no value": 1}
    assert found.histogram == (1, 0, 0, 0, 0, 0, 0, 0, 0, 2)


def test_the_first_of_a_list_is_the_best() -> None:
    labels = pa.array([["cat", "dog"], [], ["dog", "cat"], None])
    probabilities = pa.array([[0.75, 0.25], [], [0.5, 0.5], None], pa.list_(pa.float32()))
    found = tally(4, [], labels, probabilities)
    assert found.labels == {"cat": 1, "dog": 1}
    assert found.histogram == (0, 0, 0, 0, 0, 1, 0, 1, 0, 0)


TALLIES = st.builds(
    Tally,
    rows=st.integers(0, 9),
    failed=st.integers(0, 9),
    labels=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)),
    reasons=st.dictionaries(st.sampled_from("xyz"), st.integers(1, 9)),
    histogram=st.one_of(st.just(()), st.tuples(st.integers(0, 9), st.integers(0, 9))),
)


@given(TALLIES, TALLIES, TALLIES)
def test_sums_do_not_depend_on_the_order(a: Tally, b: Tally, c: Tally) -> None:
    assert (a + b) + c == a + (c + b)
    assert a + Tally() == a


@given(TALLIES)
def test_a_tally_survives_its_document(counts: Tally) -> None:
    assert tally_of(json.loads(json.dumps(counts.document()))) == counts


def test_reasons_are_bounded_and_none_is_lost() -> None:
    texts = [f"column 'c{number % 200}': no value" for number in range(2000)]
    found = tally(2000, texts, None, None) + tally(2000, texts, None, None)
    assert len(found.reasons) == MOST_REASONS
    assert sum(found.reasons.values()) == 4000
    assert OTHER_REASONS in found.reasons


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("column 'x': 'abc' is no float32", "column 'x': … is no float32"),
        (
            "column 'G1': 300 is out of range for int8 (-128 to 127)",
            "column 'G1': … is out of range for int8 (… to …)",
        ),
        ("input 'a: b' at [3]: \"it's\" is no int64", "input 'a: b': … is no int64"),
        ("the row has 2 values, and the header 4 columns", "the row has … values, and the header … columns"),
        ("column 'x': no value", "column 'x': no value"),
    ],
)
def test_errors_are_counted_without_their_values(text: str, counted: str) -> None:
    assert reason(text) == counted


def test_the_number_of_a_row_that_was_alone_says_nothing() -> None:
    assert without_row("column 'x', row 0 (the first is 0): null") == "column 'x': null"
