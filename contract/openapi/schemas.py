"""What the dialects share: JSON Schemas of tensors and errors, and the parts of an OpenAPI document. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tfleet.contract.problem import CONTENT_TYPE

Json: TypeAlias = dict[str, Any]
"""An object of the document."""

Named: TypeAlias = Callable[[str, Json], Json]
"""Gives a schema a name among the components, and returns the reference to it."""

JSON: Final = "application/json"
TEXT: Final = "text/plain"
BINARY: Final = "application/octet-stream"
STRING: Final[Json] = {"type": "string"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
OBJECT: Final[Json] = {"type": "object"}
"""Any object."""
_INTEGERS: Final = {
    f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits if sign else bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
_FLOATS: Final = frozenset({"float16", "bfloat16", "float32", "float64"})
_FORMATS: Final = {"float32": "float", "float64": "double", "int32": "int32", "int64": "int64"}
_B64: Final[Json] = {
    "type": "object",
    "description": "Bytes in base64, with the alphabet that has + and /.",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["b64"],
    "additionalProperties": False,
}


def ref(kind: str, name: str) -> Json:
    """A reference to a component, such as `ref("schemas", "Number")`."""
    return {"$ref": f"#/components/{kind}/{name}"}


def schema(name: str) -> Json:
    """A reference to a schema."""
    return ref("schemas", name)


def has_json_form(dtype: str) -> bool:
    """Whether JSON has values of this type: a complex number has none."""
    return dtype in _INTEGERS or dtype in _FLOATS or dtype in {"bool", "string"}


def value_schema(dtype: str) -> Json:
    """One value of a type, as JSON has it. Of a type without a form in JSON anything is true."""
    if dtype in _INTEGERS:
        low, high = _INTEGERS[dtype]
        found: Json = {"type": "integer", "minimum": low, "maximum": high}
    elif dtype in _FLOATS:
        found = {"type": "number"}
    elif dtype == "bool":
        return {"type": "boolean"}
    elif dtype == "string":
        return schema("Text")
    else:
        return {}
    return found if dtype not in _FORMATS else {**found, "format": _FORMATS[dtype]}


def tensor_schema(dtype: str, dims: Sequence[int | None] | None) -> Json:
    """A tensor as nested lists; of any shape where `dims` is None."""
    if dims is None:
        return any_tensor(dtype)
    found = value_schema(dtype)
    for size in reversed(dims):
        found = list_of(found, size)
    return found


def list_of(items: Json, size: int | None = None) -> Json:
    """A list with as many items, or with any number."""
    exact = {} if size is None else {"minItems": size, "maxItems": size}
    return {"type": "array", "items": items, **exact}


def any_tensor(dtype: str) -> Json:
    """A tensor of any shape: a value, or lists of such."""
    if dtype in _INTEGERS:
        return schema("Integers")
    if dtype in _FLOATS:
        return schema("Numbers")
    return {"bool": schema("Booleans"), "string": schema("Texts")}.get(dtype, {})


def pair(label: Json) -> Json:
    """A label with its score, as a list of the two."""
    return {"type": "array", "prefixItems": [label, {"type": "number"}], "minItems": 2, "maxItems": 2}


def record(properties: Mapping[str, Json], optional: Sequence[str] = (), *, closed: bool = True) -> Json:
    """An object with these members; all but the `optional` ones have to be there."""
    found: Json = {"type": "object", "properties": dict(properties)}
    if required := [name for name in properties if name not in optional]:
        found["required"] = required
    if closed:
        found["additionalProperties"] = False
    return found


def any_of(*schemas: Json) -> Json:
    """One of these, each once."""
    distinct = [each for index, each in enumerate(schemas) if each not in schemas[:index]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def content(media_type: str, found: Json, examples: Mapping[str, Any] | None = None) -> Json:
    """What a body of this type holds. `examples` are values by their names."""
    shown = {name: {"value": value} for name, value in (examples or {}).items()}
    return {media_type: {"schema": found, **({"examples": shown} if shown else {})}}


def raw(*media_types: str) -> Json:
    """Bodies that are bytes, in the words that tools know from OpenAPI 3.0."""
    return {each: {"schema": {"type": "string", "format": "binary"}} for each in media_types}


def answer(description: str, *contents: Json, headers: Json | None = None) -> Json:
    """A response."""
    found: Json = {"description": description}
    if headers:
        found["headers"] = headers
    if contents:
        found["content"] = {kind: value for each in contents for kind, value in each.items()}
    return found


def body(*contents: Json, required: bool = True) -> Json:
    """A request body."""
    return {
        "required": required,
        "content": {kind: value for each in contents for kind, value in each.items()},
    }


def operation(
    summary: str, tag: str, responses: Mapping[str, Json], errors: Mapping[str, Json], **more: Any
) -> Json:
    """An operation. `more` are its other members, such as `parameters` and `requestBody`, where not empty."""
    members = {name: value for name, value in more.items() if value}
    return {"summary": summary, "tags": [tag], **members, "responses": {**responses, **errors}}


def page(summary: str, tag: str, errors: Mapping[str, Json], *contents: Json, **more: Any) -> Json:
    """An operation that answers with a page."""
    return operation(summary, tag, {"200": answer("The page.", *contents)}, errors, **more)


PROBLEMS: Final = {"4XX": ref("responses", "Problem"), "5XX": ref("responses", "ServerProblem")}
"""The errors of the native paths."""
PLAIN_ERRORS: Final = {"4XX": ref("responses", "PlainError"), "5XX": ref("responses", "PlainServerError")}
"""The errors below `/v1` and `/v2`."""

_STATUS: Final[Json] = {"type": "integer", "minimum": 400, "maximum": 599}
_RETRY_AFTER: Final = {"Retry-After": ref("headers", "RetryAfter")}
_REFUSED: Final = (
    "The request is wrong (400), needs a ticket (401), names what is not there (404), is too large (413) or "
    "of a form that is not read (415), or the worker's queue is full (429). The detail says what to do."
)
_FAILED: Final = (
    "No worker answered (502), none is ready (503, see Retry-After), or the time is over (504). 500 is a bug."
)


def shared_components() -> Json:
    """The components that all dialects refer to."""
    problem, plain = content(CONTENT_TYPE, schema("Problem")), content(JSON, schema("PlainError"))
    return {
        "schemas": {
            "Text": {"anyOf": [{"type": "string"}, _B64]},
            "Numbers": _nested({"type": "number"}),
            "Integers": _nested({"type": "integer"}),
            "Booleans": _nested({"type": "boolean"}),
            "Strings": _nested({"type": "string"}),
            "Texts": _nested(schema("Text")),
            "Problem": {
                "description": "A problem document (RFC 9457).",
                **record(
                    {
                        "type": {"const": "about:blank"},
                        "title": {"type": "string"},
                        "status": _STATUS,
                        "detail": {"type": "string", "description": "What is wrong, and what to do."},
                        "success": {"const": False},
                    }
                ),
            },
            "PlainError": {
                "description": "An error, with its text in `error` as in TensorFlow Serving and Triton.",
                **record(
                    {
                        "error": {"type": "string", "description": "What is wrong, and what to do."},
                        "title": {"type": "string"},
                        "status": _STATUS,
                        "detail": {"type": "string"},
                        "success": {"const": False},
                    },
                    ["title"],
                    closed=False,
                ),
            },
        },
        "responses": {
            "Problem": answer(_REFUSED, problem, headers=_RETRY_AFTER),
            "ServerProblem": answer(_FAILED, problem, headers=_RETRY_AFTER),
            "PlainError": answer(_REFUSED, plain, headers=_RETRY_AFTER),
            "PlainServerError": answer(_FAILED, plain, headers=_RETRY_AFTER),
        },
        "headers": {
            "RetryAfter": {
                "description": "After how many seconds to send the request again.",
                "schema": COUNT,
            }
        },
    }


def _nested(value: Json) -> Json:
    """A value, or lists within lists of such. It ends after some: tools that make clients can't recur."""
    forms = [value, list_of(value), list_of(list_of(value)), list_of(list_of(list_of({})))]
    return {"description": "A value, or lists within lists of such.", "anyOf": forms}
