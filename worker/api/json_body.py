"""Read the image in a JSON document: `{"image": {"b64": "..."}}` or `{"data": "data:image/jpeg;base64,..."}`.

Such a document has few braces, brackets, commas and colons, however large its image is: base64 uses none of
them. They are counted first, so that a hostile document of millions of objects is rejected without parsing
it.
"""

from __future__ import annotations

import binascii
import json
import re
from typing import Any, Final

from tfleet.contract.names import IMAGE_FIELDS

_B64: Final = "b64"
_MAX_PUNCTUATION: Final = 64
_PUNCTUATION: Final = (b"{", b"[", b",", b":")
_MAX_NAMED: Final = 3
_MAX_CHARS: Final = 20
# RFC 2397. The media type and all parameters but the last are ignored.
_DATA_URL: Final = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
_BLANKS: Final = b" \t\r\n"  # many tools break base64 into lines
_EXAMPLE: Final = '{"image": {"b64": "..."}} or {"data": "data:image/jpeg;base64,..."}'


class BadJsonError(Exception):
    """The document has no readable image. The message is one line: what is wrong and what to send."""


def read_json_image(body: bytes) -> bytes:
    """The image's bytes. Raises BadJsonError."""
    document = _document(body)
    if not isinstance(document, dict):
        raise BadJsonError(f"the JSON document is not an object: send {_EXAMPLE}")
    _check_keys(document, frozenset(IMAGE_FIELDS), "the JSON document", _EXAMPLE)
    filled = [name for name in IMAGE_FIELDS if _is_filled(document.get(name))]
    if len(filled) > 1:
        raise BadJsonError(f"{' and '.join(filled)} both have a value: send one image in a request")
    if not filled:
        empty = ", ".join(name for name in IMAGE_FIELDS if name in document)
        raise BadJsonError(
            f"{empty} is empty: send {_EXAMPLE}" if empty else f"the JSON document is empty: send {_EXAMPLE}"
        )
    name = filled[0]
    value = document.pop(name)
    if isinstance(value, dict):
        _check_keys(value, frozenset({_B64}), name, _EXAMPLE)
        name, value = f"{name}.{_B64}", value.pop(_B64, None)
    if not isinstance(value, str):
        raise BadJsonError(f"{name} is not a string: send {_EXAMPLE}")
    return _bytes(name, value)


def _document(body: bytes) -> Any:
    if sum(map(body.count, _PUNCTUATION)) > _MAX_PUNCTUATION:
        raise BadJsonError(f"the JSON document has more in it than an image: send {_EXAMPLE}")
    try:
        # Numbers have no meaning here, and converting one with a million digits takes seconds.
        return json.loads(body, object_pairs_hook=_object, parse_int=_number, parse_float=_number)
    except json.JSONDecodeError as error:
        raise BadJsonError(
            f"the body is not JSON ({error.msg} at character {error.pos}): send {_EXAMPLE}"
        ) from error
    except (ValueError, RecursionError) as error:  # not Unicode, or nested too deeply for the parser
        raise BadJsonError(f"the body is not valid JSON: send {_EXAMPLE}") from error


def _is_filled(value: object) -> bool:
    return any(value.values()) if isinstance(value, dict) else bool(value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadJsonError(f"{_quoted(twice)} occurs twice in the JSON document: send it once")
    return found


def _number(_: str) -> int:
    return 1


def _check_keys(found: dict[str, Any], known: frozenset[str], where: str, example: str) -> None:
    unknown = sorted(found.keys() - known)
    if unknown:
        named = ", ".join(map(_quoted, unknown[:_MAX_NAMED]))
        raise BadJsonError(f"{where} has unknown keys ({named}): send {example}")


def _bytes(name: str, text: str) -> bytes:
    if found := _DATA_URL.match(text):
        if not found[1].lower().rstrip().endswith(";base64"):
            raise BadJsonError(f"{name} is a data: URL without base64: send data:image/jpeg;base64,...")
        text = text[found.end() :]
    try:
        packed = text.encode("ascii").translate(None, _BLANKS)
        content = binascii.a2b_base64(packed, strict_mode=True)
    except UnicodeEncodeError as error:
        raise _bad_base64(name, f"character {error.start} is not in its alphabet") from error
    except binascii.Error as error:
        raise _bad_base64(name, str(error)) from error
    if not content:
        raise BadJsonError(f"{name} is empty: send {_EXAMPLE}")
    return content


def _bad_base64(name: str, reason: str) -> BadJsonError:
    return BadJsonError(f"{name} is not base64 ({reason}): send {_EXAMPLE}")


def _quoted(name: str) -> str:
    return repr(name[:_MAX_CHARS])
