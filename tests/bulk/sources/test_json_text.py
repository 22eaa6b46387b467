from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given

from tfleet.bulk.sources.json_text import LineTexts, double_name, member_texts

TEXT = st.text(st.sampled_from('a"\\{}[],: ä\n\U0001f600'), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(TEXT, VALUES, max_size=4),
    st.booleans(),
    st.sampled_from([None, (",", ":"), (" , ", " : ")]),
)
def test_each_member_has_its_own_text(found: dict[str, Any], ascii_only: bool, separators: Any) -> None:
    line = json.dumps(found, ensure_ascii=ascii_only, separators=separators).encode()
    texts = member_texts(b"  " + line + b"\r")
    assert {name: json.loads(text) for name, text in texts.items()} == found
    assert all(text.encode() in line for text in texts.values())


def test_the_last_of_two_members_with_one_name_counts() -> None:
    assert member_texts(b'{"a": 1.10, "a": 2.50}') == {"a": "2.50"}


@pytest.mark.parametrize(
    ("line", "twice"),
    [
        ('{"a": 1, "b": 2}', None),
        ('{"a": 1, "b": 2, "a": 3}', "a"),
        ('{"a": "12:30", "b": {"a": 1, "a": 2}}', None),
        ('{"a": "a", "b": ["a", ":"]}', None),
        ('{"a": ":", "\\u0061": 2}', "a"),
        ('{"\\"a": 1, "a": 2}', None),
        ('{"": ":", "": 2}', ""),
        (' {"a": 12e3, "b": ":", "a": ' + "9" * 300 + "}\r", "a"),
        ('{"a": ":", "b": ' + "[" * 1000 + "]" * 1000 + ', "a": 1}', "a"),
        ("{}", None),
    ],
)
def test_a_name_that_occurs_twice_is_found(line: str, twice: str | None) -> None:
    assert double_name(line.encode(), orjson.loads(line)) == twice


def test_a_number_beside_a_deeply_nested_value_has_its_text() -> None:
    line = b'{"deep": ' + b"[" * 1000 + b"]" * 1000 + b', "price": 1.10}'
    assert LineTexts(line).of("price", orjson.loads(line)["price"]) == "1.10"
