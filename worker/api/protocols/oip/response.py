"""Answers of an inference: a JSON document, and the binary tensors behind it.

- JSON data are flat lists in row-major order, with numbers as json_output.py writes them.
- Strings in JSON have to be Unicode. A tensor with one that is not is in base64, all of it, and its parameter
  `content_type` says so.
- Outputs are in the order in which they were asked for, or in that of the model, and so are their bytes.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.json_output import json_value
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.oip.classification import Classes, best_classes
from tfleet.worker.api.protocols.oip.datatypes import BYTES, datatype_of
from tfleet.worker.api.protocols.oip.request import (
    BASE64,
    BINARY_DATA_SIZE,
    CONTENT_TYPE,
    RequestedOutput,
    WantedAnswer,
)
from tfleet.worker.api.protocols.problems import bad_input, names_text, quoted

JSON_TYPE: Final = "application/json"
BINARY_TYPE: Final = "application/octet-stream"
NO_CLASSES: Final = Classes()
_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class AnsweringModel:
    """What an answer says of the model."""

    name: str
    version: str
    classes: Classes = NO_CLASSES


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """A body. `json_bytes` is the length of its JSON part where binary data follow, otherwise None."""

    content: bytes
    json_bytes: int | None = None

    @property
    def media_type(self) -> str:
        """The value of Content-Type."""
        return JSON_TYPE if self.json_bytes is None else BINARY_TYPE


def check_outputs(wanted: WantedAnswer, names: Sequence[str]) -> None:
    """Raise ProblemError (400) if a request wants an output that is not among `names`."""
    unknown = [each.name for each in wanted.outputs if each.name not in names]
    if unknown:
        raise bad_input(f"the model has no output {names_text(unknown)}: it has {names_text(names)}")


def encode_answer(
    outputs: Mapping[str, Array], wanted: WantedAnswer, model: AnsweringModel, limits: InputLimits
) -> InferAnswer:
    """The answer to a request. Raises ProblemError: 400 for an output that is not there or has no datatype,
    413 for more strings than allowed.
    """
    check_outputs(wanted, list(outputs))
    asked = wanted.outputs or [RequestedOutput(name, wanted.binary_output) for name in outputs]
    described, parts = [], []
    for each in asked:
        array = outputs[each.name]
        if each.classes:
            array = best_classes(each.name, array, each.classes, model.classes, limits)
        if each.binary:
            parts.append(_binary(each.name, array, limits))
            described.append(_description(each.name, array, {BINARY_DATA_SIZE: len(parts[-1])}, None))
        else:
            described.append(_in_json(each.name, array, limits))
    named: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if wanted.id is not None:
        named["id"] = wanted.id
    head = _document(named) + b',"outputs":[' + b",".join(described) + b"]}"
    if not any(each.binary for each in asked):
        return InferAnswer(head)
    return InferAnswer(b"".join([head, *parts]), len(head))


def _document(members: Mapping[str, Any]) -> bytes:
    """An object without its end."""
    return orjson.dumps(members)[:-1]


def _description(name: str, array: Array, parameters: Mapping[str, Any] | None, data: bytes | None) -> bytes:
    kind = datatype_of(array.dtype)
    if kind is None:
        raise bad_input(
            f"output {quoted(name)} is {array.dtype}, for which the protocol has no datatype: name "
            "the others in outputs, or use POST /predict"
        )
    members: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
    if parameters is not None:
        members["parameters"] = parameters
    return _document(members) + (b"}" if data is None else b',"data":' + data + b"}")


def _in_json(name: str, array: Array, limits: InputLimits) -> bytes:
    if datatype_of(array.dtype) == BYTES:
        limits.check_written(array.size, "strings")
        values = _values(array)
        try:
            return _description(name, array, None, orjson.dumps([value.decode() for value in values]))
        except UnicodeDecodeError:
            texts = [base64.b64encode(value).decode() for value in values]
            return _description(name, array, {CONTENT_TYPE: BASE64}, orjson.dumps(texts))
    if datatype_of(array.dtype) is None:
        return _description(name, array, None, None)
    return _description(name, array, None, json_value(name, array.reshape(-1), limits))


def _binary(name: str, array: Array, limits: InputLimits) -> memoryview | bytes:
    if datatype_of(array.dtype) == BYTES:
        limits.check_written(array.size, "strings")
        return b"".join([part for value in _values(array) for part in (_LENGTH.pack(len(value)), value)])
    if array.dtype.kind == "c":
        return b""  # whose description is refused
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return np.ascontiguousarray(native).reshape(-1).view(np.uint8).data


def _values(array: Array) -> list[bytes]:
    # A function of the model may have made other objects than bytes.
    flat = array.reshape(-1).tolist()
    return [value if isinstance(value, bytes) else str(value).encode() for value in flat]
