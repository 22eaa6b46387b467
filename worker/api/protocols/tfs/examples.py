"""The body of `:classify` and `:regress`: a list of `examples`, each with its features by name.

- `{"signature_name": ..., "context": {...}, "examples": [{"age": 46, "name": ["a", "b"]}, ...]}`. The
  features of the context are part of each example that has none of the same name.
- The first value of a feature says its type: a bool and an integer make it int64, a number with a point or an
  exponent float, a string or `{"b64": ...}` bytes. All its values have that type.
- The signature gets them as serialized tf.Example, in its input `inputs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from tfleet.contract.tfs_signatures import EXAMPLES_INPUT, takes_examples
from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import B64, NonFinite, bytes_array, decode_b64
from tfleet.worker.api.protocols.json_rows import colons_in, colons_of
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, names_text, quoted, shown, too_large
from tfleet.worker.api.protocols.tfs.document import TfsDocument, is_named, read_document
from tfleet.worker.model.example_proto import Feature, feature_entries, joined
from tfleet.worker.model.signature import Signature, TensorInfo

EXAMPLES: Final = "examples"
_CONTEXT: Final = "context"
_EXAMPLE: Final = f'{{"{EXAMPLES}": [{{"FEATURE": VALUE}}]}}'
_INT64: Final = 2**63
_MOST_CHARS: Final = 300
_AT_ONCE: Final = 1_000


def _always_wanted() -> None:
    """Somebody waits for the answer."""


def read_examples(body: bytes, limits: InputLimits) -> TfsDocument:
    """The document of a request. Raises ProblemError (400, 413)."""
    document = read_document(body, _EXAMPLE, limits)
    examples = document.members.get(EXAMPLES)
    if not isinstance(examples, list) or not examples:
        what = "an empty list" if examples == [] else shown(examples)
        raise bad_input(f"{EXAMPLES!r} must be a list with at least one example, and it is {what}")
    limits.check_rows(len(examples))
    return document


def decode_examples(
    document: TfsDocument,
    signature: Signature,
    limits: InputLimits,
    check_wanted: Callable[[], None] = _always_wanted,
) -> dict[str, Array]:
    """The input of a signature: a vector with a serialized tf.Example for each.

    `check_wanted` is called now and then, and raises where nobody waits for the answer any more. Raises
    ProblemError (400, 413).
    """
    info = _examples_input(signature)
    reader = _FeatureReader(document.colons)
    members = document.members
    _check_features(members, limits)
    context = feature_entries(reader.features(members[_CONTEXT], _CONTEXT)) if _CONTEXT in members else {}
    whole = b"".join(context.values())
    # A large context is written for each example.
    size = len(whole) * len(members[EXAMPLES]) + len(document.document.body)
    limits.check_together(size)
    limits.reserve(size)
    found = []
    for index, value in enumerate(members[EXAMPLES]):
        if index % _AT_ONCE == 0:
            check_wanted()
        own = feature_entries(reader.features(value, f"example {index} (the first is 0)"))
        shared = [whole]
        if not own.keys().isdisjoint(context):
            shared = [entry for name, entry in context.items() if name not in own]
        found.append(joined([*shared, *own.values()]))
    document.document.check_keys(reader.colons)
    return {info.name: bytes_array(found)}


def _check_features(members: Mapping[str, Any], limits: InputLimits) -> None:
    """Raise ProblemError (413) for more features in all examples than a body may have objects.

    Each costs as much as an object. Those of the context are in each example: the model parses them there.
    """
    examples, context = members[EXAMPLES], members.get(_CONTEXT)
    features = sum(len(value) for value in examples if isinstance(value, dict))
    shared = len(context) * len(examples) if isinstance(context, dict) else 0
    if features + shared > limits.json_objects:
        of_context = f", {shared} of them by the context" if shared else ""
        raise too_large(
            f"the examples have {features + shared} features{of_context}, more than the "
            f"{limits.json_objects} allowed: send fewer examples at once"
        )


def _examples_input(signature: Signature) -> TensorInfo:
    """The input that takes serialized examples. Raises ProblemError (400) for a signature without one."""
    if takes_examples(signature.inputs):
        return signature.inputs[0]
    has = ", ".join(map(str, signature.inputs))[:_MOST_CHARS] or "none"
    raise bad_input(
        f"the signature {quoted(signature.name)} takes no examples: it would need one input "
        f"{EXAMPLES_INPUT!r} of strings, and its inputs are {has}: name another one in "
        "'signature_name', or use :predict"
    )


class _FeatureReader:
    """Reads features. `colons` counts those that were seen, see JsonDocument.check_keys()."""

    def __init__(self, colons: int) -> None:
        self.colons = colons

    def features(self, value: Any, where: str) -> dict[str, Feature]:
        """The features of an example or of the context, by name. Raises ProblemError (400)."""
        if not isinstance(value, dict):
            raise bad_input(f"{where} must be an object of features, and it is {shown(value)}")
        self.colons += colons_of(value)
        found = {}
        for name, values in value.items():
            place = f"{where}: feature {quoted(name)}"
            _encoded(name, place)
            found[name] = self._values(values if isinstance(values, list) else [values], place)
        return found

    def _values(self, values: list[Any], where: str) -> Feature:
        kinds = {_kind_of(value, where) for value in values}
        if len(kinds) > 1:
            raise bad_input(
                f"{where} has values of the types {names_text(sorted(kinds))}: all need the same; write 10.0 "
                "and not 10 where others have a point"
            )
        if kinds == {"bytes"}:
            self.colons += colons_in(values)
            return [_bytes(value, where) for value in values]
        return [float(value) for value in values] if kinds == {"float"} else [int(value) for value in values]


def _kind_of(value: Any, where: str) -> str:
    """The type of feature that a value makes. Raises ProblemError (400) for one that makes none."""
    match value:
        case str():
            return "bytes"
        case dict() if not is_named(value):
            return "bytes"
        case float() if isinstance(value, NonFinite) or not math.isinf(value):
            return "float"
        case int() if -_INT64 <= value < _INT64:  # true and false as well
            return "int64"
        case int() | float():
            raise bad_input(f"{where} has {shown(value)}, which is out of range")
        case _:
            raise bad_input(
                f'{where} has {shown(value)}: send numbers, true, false, strings or {{"{B64}": "..."}}, or '
                "one list of them"
            )


def _bytes(value: Any, where: str) -> bytes:
    if isinstance(value, str):
        return _encoded(value, where)
    try:
        return decode_b64(value[B64], padded=False)
    except ValueError as error:
        raise bad_input(f"{where}: the value of b64 is not base64 ({error})") from error


def _encoded(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise bad_input(f"{where}: the string has half of a surrogate pair: it is not Unicode") from None
