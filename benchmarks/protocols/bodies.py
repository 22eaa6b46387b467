"""What is sent: the pixels of an image, and a row of a table, in each protocol."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import orjson

from benchmarks.load.form import Form
from benchmarks.protocols.model import INPUT, NAME, pixels
from benchmarks.tables.model import rows
from tfleet.contract.names import JSON_LENGTH

NPY: Final = "`/predict`, .npy"
JSON: Final = "`/predict`, JSON"
V2_BINARY: Final = "`/v2`, binary"
V2_JSON: Final = "`/v2`, JSON"
V1_JSON: Final = "`/v1`, JSON rows"
_JSON_TYPE: Final = "application/json"
_TABLE: Final = "table"


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a prediction: the path that it is posted to, and what is posted."""

    path: str
    form: Form


Requests: TypeAlias = Mapping[str, Request]
"""By protocol."""


def of_pixels() -> Requests:
    """Requests with an image of 150,528 float32, by protocol."""
    image = pixels()
    npy = io.BytesIO()
    np.save(npy, image)
    return {
        NPY: Request("predict", Form(npy.getvalue(), "application/x-npy")),
        V2_BINARY: v2_binary(NAME, {INPUT: image}),
        V2_JSON: v2_json(NAME, {INPUT: image}),
        V1_JSON: Request(f"v1/models/{NAME}:predict", _json(b'{"instances":', _digits(image), b"}")),
    }


def of_row() -> Requests:
    """Requests with one row of ten columns, by protocol."""
    columns = rows(1)
    row = _digits({name: column[0, 0] for name, column in columns.items()})
    # In this protocol a row has one value less deep a list than the input: here a vector of one number.
    vectors = _digits({name: column[0] for name, column in columns.items()})
    return {
        JSON: Request("predict", _json(row)),
        V2_BINARY: v2_binary(_TABLE, columns),
        V2_JSON: v2_json(_TABLE, columns),
        V1_JSON: Request(f"v1/models/{_TABLE}:predict", _json(b'{"instances":[', vectors, b"]}")),
    }


def v2_binary(model: str, inputs: Mapping[str, Any]) -> Request:
    """A request with binary tensors, which are wanted in the answer as well: as Triton's clients send it."""
    described = [
        _described(name, array) | {"parameters": {"binary_data_size": array.nbytes}}
        for name, array in inputs.items()
    ]
    head = orjson.dumps({"inputs": described, "parameters": {"binary_data_output": True}})
    body = b"".join([head, *(array.tobytes() for array in inputs.values())])
    headers = ((JSON_LENGTH, str(len(head))),)
    return Request(f"v2/models/{model}/infer", Form(body, "application/octet-stream", headers))


def v2_json(model: str, inputs: Mapping[str, Any]) -> Request:
    """A request with a flat list for each tensor."""
    described = [
        _described(name, array) | {"data": orjson.Fragment(_digits(array.reshape(-1)))}
        for name, array in inputs.items()
    ]
    return Request(f"v2/models/{model}/infer", _json(orjson.dumps({"inputs": described})))


def _described(name: str, array: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": list(array.shape)}


def _digits(value: Any) -> bytes:
    """JSON with as few digits as tell a float32 from its neighbours."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _json(*parts: bytes) -> Form:
    return Form(b"".join(parts), _JSON_TYPE)
