"""The JSON part of an inference request: which tensors come, and how the answer is wanted.

The rules:

- `null` means the same as a missing key, because clients that are made from a schema send it.
- Keys and parameters that nobody here knows are ignored, as the specification allows. A parameter that this
  server can't follow, and that changes the answer, is refused: shared memory, and sequences.
- A dimension is an integer from 0 to 2**63 - 1.
- `binary_data_output` of the request holds for each output that does not say `binary_data` itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tfleet.worker.api.protocols.json_document import JsonDocument, parse
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.nested import MAX_DEPTH
from tfleet.worker.api.protocols.oip.datatypes import BYTES, DATATYPES
from tfleet.worker.api.protocols.problems import bad_input, place, quoted, shown

BINARY_DATA_SIZE: Final = "binary_data_size"
CONTENT_TYPE: Final = "content_type"
BASE64: Final = "base64"
_BINARY_DATA: Final = "binary_data"
_BINARY_DATA_OUTPUT: Final = "binary_data_output"
_CLASSIFICATION: Final = "classification"
_SHARED_MEMORY: Final = "shared_memory_region"
_SEQUENCES: Final = ("sequence_id", "sequence_start", "sequence_end")
_MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RequestInput:
    """One tensor of a request. `data` is what the JSON has of it; `binary_bytes` is how many bytes of the
    binary part it has, and None for a tensor in JSON. `base64`: its strings are bytes in base64.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Any
    binary_bytes: int | None
    base64: bool


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a request asks for. `classes` is how many classes it wants of it; 0 for the tensor."""

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True, slots=True)
class WantedAnswer:
    """What a request says of its answer. `outputs` is empty where all are wanted; `binary_output` says how
    those are.
    """

    outputs: tuple[RequestedOutput, ...] = ()
    binary_output: bool = False
    id: str | None = None


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request: its tensors as the JSON has them, and the answer that it wants."""

    inputs: tuple[RequestInput, ...]
    wanted: WantedAnswer


def read_request(head: bytes, limits: InputLimits) -> InferRequest:
    """The request in a JSON document. Raises ProblemError (400, 413)."""
    document = parse(head, limits)
    members = _object(document.value, "the JSON document")
    parameters = _parameters(members, "the request")
    _check_followed(parameters)
    binary = _flag(parameters, _BINARY_DATA_OUTPUT, "the request", default=False)
    inputs = tuple(_input(each) for each in _list(members, "inputs", required=True))
    outputs = tuple(_output(each, binary) for each in _list(members, "outputs"))
    _check_keys(document, members)
    _check_twice([each.name for each in outputs])
    return InferRequest(inputs, WantedAnswer(outputs, binary, _id(members)))


def _id(members: Mapping[str, Any]) -> str | None:
    """The id, which the answer repeats."""
    name = members.get("id")
    if name is None:
        return None
    if not isinstance(name, str):
        raise bad_input(f"id is {shown(name)}: send a string, or leave it out")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise bad_input("id has half of a surrogate pair: it is not Unicode") from None
    return name


def _input(found: Any) -> RequestInput:
    members = _object(found, "an element of inputs")
    name = _name(members, "inputs")
    where = place(name)
    parameters = _parameters(members, where)
    _check_memory(parameters, where)
    kind = members.get("datatype")
    if not isinstance(kind, str) or kind not in DATATYPES:
        raise bad_input(f"{where}: datatype is {shown(kind)}: send one of {', '.join(sorted(DATATYPES))}")
    size = parameters.get(BINARY_DATA_SIZE)
    if size is not None and not _is_size(size):
        raise bad_input(f"{where}: {BINARY_DATA_SIZE} is {shown(size)}: send the number of its bytes")
    data = members.get("data")
    if (data is None) == (size is None):
        raise bad_input(
            f"{where} has {'neither' if data is None else 'both'} data and {BINARY_DATA_SIZE}: "
            "send one of them"
        )
    in_base64 = parameters.get(CONTENT_TYPE) == BASE64
    return RequestInput(name, kind, _shape(members, where), data, size, in_base64)


def _output(found: Any, binary: bool) -> RequestedOutput:
    members = _object(found, "an element of outputs")
    name = _name(members, "outputs")
    where = place(name, word="output")
    parameters = _parameters(members, where)
    _check_memory(parameters, where)
    classes = parameters.get(_CLASSIFICATION)
    if classes is not None and not (_is_size(classes) and classes):
        raise bad_input(f"{where}: {_CLASSIFICATION} is {shown(classes)}: send a number of classes from 1")
    return RequestedOutput(name, _flag(parameters, _BINARY_DATA, where, default=binary), classes or 0)


def _shape(members: Mapping[str, Any], where: str) -> tuple[int, ...]:
    shape = members.get("shape")
    if not isinstance(shape, list):
        raise bad_input(f"{where}: shape is {shown(shape)}: send a list of sizes, such as [1, 3]")
    if len(shape) > MAX_DEPTH:
        raise bad_input(f"{where}: shape has {len(shape)} dimensions, more than the {MAX_DEPTH} allowed")
    for size in shape:
        if not _is_size(size):
            raise bad_input(
                f"{where}: shape has {shown(size)}: send the sizes of this tensor, each an integer from 0"
            )
    return tuple(shape)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise bad_input(f'{what} is {shown(value)}: send an object, as in {{"inputs": [{{"name": ...}}]}}')
    return value


def _list(members: Mapping[str, Any], key: str, *, required: bool = False) -> Sequence[Any]:
    value = members.get(key)
    if value is None and not required:
        return ()
    if not isinstance(value, list):
        raise bad_input(f"{key} is {shown(value)}: send a list of tensors, each with its name")
    return value


def _name(members: Mapping[str, Any], where: str) -> str:
    name = members.get("name")
    if not isinstance(name, str):
        raise bad_input(f"an element of {where} has the name {shown(name)}: send the tensor's name")
    return name


def _parameters(members: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = members.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise bad_input(f"{where}: parameters is {shown(parameters)}: send an object, or leave it out")
    return parameters


def _flag(parameters: Mapping[str, Any], key: str, where: str, *, default: bool) -> bool:
    value = parameters.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad_input(f"{where}: {key} is {shown(value)}: send true or false")
    return value


def _check_followed(parameters: Mapping[str, Any]) -> None:
    asked = next((key for key in _SEQUENCES if parameters.get(key)), None)
    if asked is not None:
        raise bad_input(
            f"the request has the parameter {asked}, and this server keeps no sequences: a request may be "
            "answered by any worker, so send the whole sequence in one"
        )


def _check_memory(parameters: Mapping[str, Any], where: str) -> None:
    if _SHARED_MEMORY in parameters:
        raise bad_input(f"{where} is in shared memory, which this server does not read: send it in the body")


def _check_twice(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise bad_input(f"outputs has {quoted(name)} twice: ask for each output once")
        seen.add(name)


def _check_keys(document: JsonDocument, members: Mapping[str, Any]) -> None:
    """Raise ProblemError (400) if a key occurs twice in an object.

    Only what a usual request has is counted: where there is more, the document is looked through.
    """
    colons = _colons(members)
    for key in ("inputs", "outputs"):
        for each in members.get(key) or ():
            colons += _colons(each)
            if each.get("datatype") == BYTES:
                colons += _colons_in_texts(each.get("data"))
    document.check_keys(colons)


def _colons(members: Mapping[str, Any]) -> int:
    """The colons of an object and of its parameters, as far as they are in keys and strings."""
    found = len(members)
    for key, value in members.items():
        found += key.count(":")
        if isinstance(value, str):
            found += value.count(":")
        elif isinstance(value, dict) and key == "parameters":
            found += _colons(value)
    return found


def _colons_in_texts(data: Any) -> int:
    if not isinstance(data, list):
        return data.count(":") if isinstance(data, str) else 0
    return sum(text.count(":") for text in data if isinstance(text, str))
