"""What all bodies of TensorFlow Serving's REST API have in common: an object that may name a signature.

As there, bytes that follow the object are ignored, and so are keys that mean nothing. A key that occurs twice
is an error here: TensorFlow Serving takes the first value, and other parsers the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tfleet.worker.api.protocols.dtypes import B64
from tfleet.worker.api.protocols.json_document import JsonDocument, parse_first
from tfleet.worker.api.protocols.json_rows import colons_of
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, shown

SIGNATURE_NAME: Final = "signature_name"


@dataclass(frozen=True, slots=True)
class TfsDocument:
    """A body that was parsed. `signature_name` is None where it names none, or an empty one.

    `colons` are those of the object's own keys, see JsonDocument.check_keys().
    """

    document: JsonDocument
    signature_name: str | None
    colons: int

    @property
    def members(self) -> dict[str, Any]:
        """The values by key."""
        members: dict[str, Any] = self.document.value
        return members


def read_document(body: bytes, example: str, limits: InputLimits) -> TfsDocument:
    """The object in a body; `example` is one in the words of a message. Raises ProblemError (400, 413)."""
    limits.check_body(len(body))
    limits.reserve(len(body))
    if not body.strip():
        raise bad_input(f"the document is empty: send {example}")
    document = parse_first(body, limits)
    value = document.value
    if not isinstance(value, dict):
        raise bad_input(f"the JSON document is {shown(value)} and not an object: send {example}")
    name = value.get(SIGNATURE_NAME)
    if SIGNATURE_NAME in value and not isinstance(name, str):
        raise bad_input(f"the value of {SIGNATURE_NAME!r} must be a string, and it is {shown(name)}")
    return TfsDocument(document, name or None, colons_of(value) + (name or "").count(":"))


def is_named(value: Any) -> bool:
    """Whether a value is an object of named values, and not bytes in base64."""
    return isinstance(value, dict) and not (value.keys() == {B64} and isinstance(value[B64], str))
