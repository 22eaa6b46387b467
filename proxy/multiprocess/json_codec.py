"""Frozen dataclasses as JSON, and back: by their annotations, so that nothing can come back as another type.

A dataclass is an object with its name under `type`; that is also how the members of a union are told apart.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union

_T = TypeVar("_T")
_TYPE: Final = "type"


class JsonError(ValueError):
    """The document does not have the wanted type."""


def to_json(value: object) -> Any:
    """Convert a value for `json.dumps`. Raises TypeError for an unsupported type."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: to_json(getattr(value, each.name)) for each in _fields(type(value))}
        return {_TYPE: type(value).__name__, **fields}
    if isinstance(value, Enum | Path | bytes):
        return _plain_json(value)
    if isinstance(value, tuple | frozenset):
        return [to_json(each) for each in value]
    if isinstance(value, Mapping):
        return {key: to_json(each) for key, each in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _plain_json(value: Enum | Path | bytes) -> Any:
    if isinstance(value, Enum):
        return value.value
    return value.hex() if isinstance(value, bytes) else str(value)


def from_json(wanted: type[_T], document: object) -> _T:
    """The value of that type. Raises JsonError."""
    value: _T = _read(wanted, document)
    return value


def _read(wanted: Any, document: object) -> Any:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, document)
    if origin is Literal:
        return _checked(document in arguments, wanted, document)
    if origin in (tuple, frozenset):
        if not isinstance(document, list):
            raise _wrong(wanted, document)
        return origin(_read(arguments[0], each) for each in document)
    if origin is Mapping:
        if not isinstance(document, dict):
            raise _wrong(wanted, document)
        return {key: _read(arguments[1], each) for key, each in document.items()}
    if dataclasses.is_dataclass(wanted):
        return _read_dataclass(wanted, document)
    return _read_plain(wanted, document)


def _read_union(members: tuple[Any, ...], document: object) -> Any:
    if document is None and type(None) in members:
        return None
    name = document.get(_TYPE) if isinstance(document, dict) else None
    for member in members:
        if member is type(None) or (name is not None and member.__name__ != name):
            continue
        return _read(member, document)
    raise JsonError(f"{name!r} is none of {members}")


def _read_dataclass(wanted: Any, document: object) -> Any:
    if not isinstance(document, dict) or document.get(_TYPE) != wanted.__name__:
        raise _wrong(wanted, document)
    hints = _hints(wanted)
    try:
        values = {each.name: _read(hints[each.name], document[each.name]) for each in _fields(wanted)}
    except KeyError as error:
        raise JsonError(f"{wanted.__name__} lacks {error}") from None
    return wanted(**values)


def _read_plain(wanted: Any, document: object) -> Any:
    if wanted is float:  # a whole number may have lost its point
        return float(_checked(isinstance(document, int | float), wanted, document))
    if wanted is bytes and isinstance(document, str):
        return bytes.fromhex(document)
    if isinstance(document, str) and issubclass(wanted, Enum | Path):
        return wanted(document)
    return _checked(type(document) is wanted, wanted, document)


def _checked(right: bool, wanted: Any, document: Any) -> Any:
    if not right:
        raise _wrong(wanted, document)
    return document


def _wrong(wanted: Any, document: object) -> JsonError:
    return JsonError(f"expected {wanted}, not {document!r:.100}")


def _fields(of: Any) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(each for each in dataclasses.fields(of) if each.init)


@cache
def _hints(of: Any) -> dict[str, Any]:
    return typing.get_type_hints(of)
