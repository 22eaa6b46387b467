"""The format of the file that the embedded registry saves its keys and values to. Pure: no I/O.

It is JSON in UTF-8 with one key on a line, in order, and values in base64:

    {"version": 1, "index": 7, "deleted_index": 5, "keys": [
    {"key": "tfleet/tfleet/models/m", "value": "e30=", "flags": 0, "create_index": 6, "modify_index": 7}
    ]}

All is checked when it is read: a key that is missed, or an index that falls, would be a wrong plan.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tfleet.discovery.embedded.key_values import KeyValue, KeyValues

VERSION: Final = 1
MAX_FILE_BYTES: Final = 128 * 1024 * 1024
"""More than the limits of the key-value store allow to be saved, at six bytes for each character of a key."""

_MAX_NUMBER: Final = 2**64 - 1
_FIELDS: Final = frozenset(("version", "index", "deleted_index", "keys"))
_OF_KEY: Final = frozenset(("key", "value", "flags", "create_index", "modify_index"))


class BadFormatError(ValueError):
    """The text is no valid file. The message is half a line: what is wrong."""


class NewerFormatError(BadFormatError):
    """A newer tfleet has written the file."""


def dump_key_values(key_values: KeyValues) -> Iterator[bytes]:
    """The lines of the file."""
    head = {"version": VERSION, "index": key_values.index, "deleted_index": key_values.deleted_index}
    yield f'{json.dumps(head)[:-1]}, "keys": ['.encode()
    separator = b"\n"
    for entry in key_values.below(""):
        yield separator + json.dumps(_document(entry)).encode()
        separator = b",\n"
    yield b"\n]}\n"


def parse_key_values(content: bytes) -> KeyValues:
    """The keys and values of a file. Raises BadFormatError."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadFormatError("it is not JSON") from error
    if not isinstance(document, dict):
        raise BadFormatError("it is not a JSON object")
    version = _number(document, "version")
    if version > VERSION:
        raise NewerFormatError(f"it has format {version}, and this version of tfleet reads format {VERSION}")
    _check_fields(document, _FIELDS, "the file")
    index = _number(document, "index")
    entries: dict[str, KeyValue] = {}
    for each in _items(document["keys"]):
        entry = _entry(each, index)
        if entry.key in entries:
            raise BadFormatError(f"it has the key {json.dumps(entry.key)} twice")
        entries[entry.key] = entry
    return KeyValues(index, entries, _number(document, "deleted_index", most=index))


def _document(entry: KeyValue) -> dict[str, object]:
    return {
        "key": entry.key,
        "value": base64.b64encode(entry.value).decode(),
        "flags": entry.flags,
        "create_index": entry.create_index,
        "modify_index": entry.modify_index,
    }


def _items(keys: Any) -> list[Any]:
    if not isinstance(keys, list):
        raise BadFormatError("keys is not a list")
    return keys


def _entry(document: Any, index: int) -> KeyValue:
    if not isinstance(document, dict):
        raise BadFormatError("a key is not a JSON object")
    _check_fields(document, _OF_KEY, "a key")
    key, modified = document["key"], _number(document, "modify_index", most=index)
    if not (isinstance(key, str) and key):
        raise BadFormatError("a key has no name")
    return KeyValue(
        key,
        _value(key, document["value"]),
        _number(document, "flags"),
        _number(document, "create_index", most=modified),
        modified,
    )


def _value(key: str, text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise BadFormatError(f"the value of {json.dumps(key)} is not base64") from error


def _check_fields(document: Mapping[str, Any], fields: frozenset[str], where: str) -> None:
    if wrong := sorted(document.keys() ^ fields):
        problem = "does not know" if wrong[0] in document else "misses"
        raise BadFormatError(f"this version of tfleet {problem} a field of {where}: {json.dumps(wrong[0])}")


def _number(document: Mapping[str, Any], name: str, *, most: int = _MAX_NUMBER) -> int:
    number = document.get(name)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
        raise BadFormatError(f"{name} is not a whole number from 0 to {most}")
    return number
