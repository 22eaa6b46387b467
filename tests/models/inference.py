"""Asks a model in this process by the Open Inference Protocol, in JSON and with binary tensors."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tests.models.answers import Golden, check
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.oip.codec import decode_infer
from tfleet.worker.api.protocols.oip.datatypes import datatype, datatype_of
from tfleet.worker.api.protocols.oip.response import AnsweringModel, InferAnswer, encode_answer
from tfleet.worker.api.protocols.oip.tensors import rows_of
from tfleet.worker.model.dtypes import numpy_dtype

if TYPE_CHECKING:
    from tfleet.worker.inference.loaded_model import LoadedModel

_LIMITS: Final = InputLimits()
_LENGTH: Final = struct.Struct("<I")
_INTEGERS: Final = [f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8)]
_DTYPES: Final = {
    datatype_of(np.dtype(name)): np.dtype(name) for name in ("object", "bool", "f2", "f4", "f8", *_INTEGERS)
}


def check_inference(model: LoadedModel, golden: Golden) -> None:
    """Both forms of a request, each answered in the other form, give the golden answer."""
    signature = model.session.signature(golden.signature)
    arrays = {}
    for info in signature.inputs:
        dtype = numpy_dtype(info.dtype)
        arrays[info.name] = np.asarray(golden.inputs[info.name], dtype), datatype(info.dtype)
    for binary in (True, False):
        head, tail = _request(arrays, binary=binary)
        decoded = decode_infer(head + tail, str(len(head)), signature, _LIMITS)
        rows = rows_of(decoded.inputs, signature, _LIMITS)
        found = model.predictor(golden.signature, decoded.inputs, rows=rows)
        answer = encode_answer(found.outputs, decoded.wanted, AnsweringModel("m", "1"), _LIMITS)
        check(_outputs(answer), golden.outputs, "binary to JSON" if binary else "JSON to binary")


def _request(arrays: dict[str, Any], *, binary: bool) -> tuple[bytes, bytes]:
    inputs, tail = [], b""
    for name, (array, kind) in arrays.items():
        each: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
        if binary:
            data = _bytes(array)
            tail += data
            each["parameters"] = {"binary_data_size": len(data)}
        else:
            flat = array.reshape(-1).tolist()
            each["data"] = [text.decode() if isinstance(text, bytes) else text for text in flat]
        inputs.append(each)
    parameters = {"binary_data_output": not binary}
    return json.dumps({"inputs": inputs, "parameters": parameters}).encode(), tail


def _bytes(array: Any) -> bytes:
    if array.dtype != object:
        content: bytes = array.tobytes()
        return content
    texts = [text if isinstance(text, bytes) else str(text).encode() for text in array.reshape(-1).tolist()]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def _outputs(answer: InferAnswer) -> dict[str, Any]:
    content, begin = answer.content, answer.json_bytes
    found = {}
    for each in json.loads(content[:begin])["outputs"]:
        dtype = _DTYPES[each["datatype"]]
        if begin is None:
            data = [text.encode() if isinstance(text, str) else text for text in each["data"]]
            array = np.array(data, dtype)
        else:
            size = each["parameters"]["binary_data_size"]
            array = _from_bytes(content[begin : begin + size], dtype)
            begin += size
        found[each["name"]] = array.reshape(each["shape"])
    return found


def _from_bytes(content: bytes, dtype: np.dtype[Any]) -> Any:
    if dtype.kind != "O":
        return np.frombuffer(content, dtype)
    texts = []
    while content:
        (size,) = _LENGTH.unpack(content[: _LENGTH.size])
        content = content[_LENGTH.size :]
        texts.append(content[:size])
        content = content[size:]
    return np.array(texts, object)
