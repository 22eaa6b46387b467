from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.discovery.embedded.key_value_format import (
    MAX_FILE_BYTES,
    BadFormatError,
    NewerFormatError,
    dump_key_values,
    parse_key_values,
)
from tfleet.discovery.embedded.key_values import KeyValue, KeyValues
from tfleet.discovery.embedded.limits import KeyValueLimits

_BIG = 2**64 - 1
KEY = {"key": "k", "value": "eA==", "flags": 0, "create_index": 3, "modify_index": 7}
FILE = {"version": 1, "index": 9, "deleted_index": 8, "keys": [KEY]}


@st.composite
def key_values(draw: st.DrawFn) -> KeyValues:
    index = draw(st.integers(0, _BIG))
    names = draw(st.sets(st.text(min_size=1), max_size=5))
    entries = {}
    for name in names:
        modified = draw(st.integers(0, index))
        value, flags = draw(st.binary()), draw(st.integers(0, _BIG))
        entries[name] = KeyValue(name, value, flags, draw(st.integers(0, modified)), modified)
    return KeyValues(index, entries, draw(st.integers(0, index)))


@given(key_values())
def test_what_is_written_is_read(written: KeyValues) -> None:
    assert parse_key_values(b"".join(dump_key_values(written))) == written


def test_the_format_stays_as_it_is() -> None:
    written = KeyValues(9, {"k": KeyValue("k", b"x", 0, 3, 7)}, 8)
    assert b"".join(dump_key_values(written)).decode().splitlines() == [
        '{"version": 1, "index": 9, "deleted_index": 8, "keys": [',
        '{"key": "k", "value": "eA==", "flags": 0, "create_index": 3, "modify_index": 7}',
        "]}",
    ]
    assert parse_key_values(json.dumps(FILE).encode()) == written


def test_a_newer_format_is_named() -> None:
    with pytest.raises(NewerFormatError, match="it has format 2, and this version of tfleet reads format 1"):
        parse_key_values(json.dumps({"version": 2, "pages": []}).encode())


def changed(**fields: Any) -> dict[str, Any]:
    return {**FILE, **fields}


def with_key(**fields: Any) -> dict[str, Any]:
    return changed(keys=[KEY | fields])


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('{"version": 1, "index": 9, "deleted_index": 8, "keys": [\n{"key"', "it is not JSON"),
        ([], "it is not a JSON object"),
        ({}, "version is not a whole number"),
        (changed(version=True), "version is not a whole number"),
        (changed(index=-1), "index is not a whole number"),
        (changed(index=2**64), "index is not a whole number"),
        (changed(deleted_index=10), "deleted_index is not a whole number from 0 to 9"),
        (changed(keys={}), "keys is not a list"),
        (changed(keys=[KEY, KEY]), 'it has the key "k" twice'),
        (changed(keys=[1]), "a key is not a JSON object"),
        (changed(more=1), 'does not know a field of the file: "more"'),
        (with_key(key=""), "a key has no name"),
        (with_key(key=1), "a key has no name"),
        (with_key(value="!"), 'the value of "k" is not base64'),
        (with_key(value=None), 'the value of "k" is not base64'),
        (with_key(flags=1.0), "flags is not a whole number"),
        (with_key(modify_index=10), "modify_index is not a whole number from 0 to 9"),
        (with_key(create_index=8), "create_index is not a whole number from 0 to 7"),
        (with_key(session=""), 'does not know a field of a key: "session"'),
        (changed(keys=[{"key": "k"}]), 'misses a field of a key: "create_index"'),
    ],
)
def test_a_damaged_file_says_what_is_wrong(document: Any, problem: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(BadFormatError) as raised:
        parse_key_values(text.encode())
    assert problem in str(raised.value)


def test_a_full_store_is_within_the_largest_file() -> None:
    limits = KeyValueLimits()
    # An emoji is two times six bytes in JSON.
    key = KeyValue("\U0001f600" * limits.key_chars, b"", _BIG, _BIG, _BIG)
    key_bytes = len(b"".join(dump_key_values(KeyValues(_BIG, {"k": key}))))
    assert limits.keys * key_bytes + limits.total_bytes * 2 < MAX_FILE_BYTES
