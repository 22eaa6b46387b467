"""Asks a model as clients of TensorFlow Serving's REST API and of the Open Inference Protocol do.

Written with json and numpy alone; the clients themselves are in tests/fleet/test_inference_clients.py.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import requests

from tests.models.answers import Golden, as_array, check
from tests.models.bodies import Tensors

_LENGTH: Final = "Inference-Header-Content-Length"
_DATATYPES: Final = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "object": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_DTYPES: Final = {datatype: dtype for dtype, datatype in _DATATYPES.items()}


def check_other_protocols(url: str, model: str, golden: Golden, *, rows: bool) -> None:
    """Every form of both gives the golden answer. Without `rows` the tensors have no dimension for rows."""
    for body in _tfs_bodies(golden, rows=rows):
        answer = requests.post(f"{url}/v1/models/{model}:predict", json.dumps(body), timeout=60)
        assert answer.status_code == 200, f"{url}, /v1: {answer.text}"
        found = _read_tfs(answer.json(), golden.outputs)
        check(found, golden.outputs, f"{url}, /v1, {', '.join(body)}")
    for binary in (False, True):
        head, tail = _oip_body(golden.inputs, binary=binary)
        answer = requests.post(
            f"{url}/v2/models/{model}/infer?signature={golden.signature}",
            head + tail,
            headers={_LENGTH: str(len(head))} if binary else {},
            timeout=60,
        )
        assert answer.status_code == 200, f"{url}, /v2: {answer.text}"
        json_bytes = int(answer.headers.get(_LENGTH, len(answer.content)))
        assert (json_bytes < len(answer.content)) == binary
        check(_read_oip(answer.content, json_bytes), golden.outputs, f"{url}, /v2, {binary=}")


def _tfs_bodies(golden: Golden, *, rows: bool) -> Iterator[dict[str, Any]]:
    columns = {name: _plain(array) for name, array in golden.inputs.items()}
    named = {"signature_name": golden.signature}
    yield {**named, "inputs": columns}
    if len(columns) == 1:
        yield {**named, "inputs": next(iter(columns.values()))}
    if rows:
        each = zip(*columns.values(), strict=True)
        yield {**named, "instances": [dict(zip(columns, row, strict=True)) for row in each]}


def _plain(array: Any) -> Any:
    return _with_base64(np.asarray(array).tolist())


def _with_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64(item) for item in value]
    return {"b64": b64encode(value).decode()} if isinstance(value, bytes) else value


def _read_tfs(document: Any, outputs: Tensors) -> dict[str, Any]:
    (key,) = document
    found = document[key]
    if key == "predictions" and len(outputs) > 1:
        found = {name: [row[name] for row in found] for name in found[0]}
    named = found if len(outputs) > 1 else {next(iter(outputs)): found}
    return {name: as_array(value) for name, value in named.items()}


def _oip_body(inputs: Tensors, *, binary: bool) -> tuple[bytes, bytes]:
    described, tails = [], []
    for name, tensor in inputs.items():
        array = np.asarray(tensor)
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape)}
        entry["datatype"] = _DATATYPES[array.dtype.name]
        if binary:
            tails.append(_raw(array))
            entry["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            entry["data"] = _texts(array) if array.dtype == object else np.atleast_1d(array).tolist()
        described.append(entry)
    document: dict[str, Any] = {"inputs": described}
    if binary:
        document["parameters"] = {"binary_data_output": True}
    return json.dumps(document).encode(), b"".join(tails)


def _texts(array: Any) -> list[str]:
    return [text.decode() for text in array.flat]


def _raw(array: Any) -> bytes:
    if array.dtype != object:
        return bytes(np.ascontiguousarray(array).tobytes())
    return b"".join(len(text).to_bytes(4, "little") + text for text in array.flat)


def _read_oip(body: bytes, json_bytes: int) -> dict[str, Any]:
    found, at = {}, json_bytes
    for output in json.loads(body[:json_bytes])["outputs"]:
        if "data" in output:
            values = as_array(output["data"])
        else:
            size = output["parameters"]["binary_data_size"]
            values, at = _values(body[at : at + size], output["datatype"]), at + size
        found[output["name"]] = values.reshape(output["shape"])
    assert at == len(body) or json_bytes == len(body)
    return found


def _values(raw: bytes, datatype: str) -> Any:
    if datatype != "BYTES":
        return np.frombuffer(raw, _DTYPES[datatype])
    texts, at = [], 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        texts.append(raw[at + 4 : end])
        at = end
    return np.array(texts, object)
