"""Bodies of inference requests, and what the codec makes of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.oip.codec import DecodedInfer, decode_infer
from tfleet.worker.model.signature import Signature

LIMITS = InputLimits()


def tensor(
    name: str, datatype: str, shape: Sequence[Any], data: Any = None, **parameters: Any
) -> dict[str, Any]:
    """An element of `inputs`."""
    found: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(shape)}
    if parameters:
        found["parameters"] = parameters
    return found if data is None else {**found, "data": data}


def body(*inputs: dict[str, Any], **others: Any) -> bytes:
    """A JSON document."""
    return json.dumps({**others, "inputs": list(inputs)}).encode()


def binary(kind: str, shape: Sequence[int], data: bytes, name: str = "x", **others: Any) -> tuple[bytes, str]:
    """A body with one binary tensor, and the header with the length of its JSON part."""
    head = body(tensor(name, kind, shape, binary_data_size=len(data)), **others)
    return head + data, str(len(head))


def strings(*texts: bytes) -> bytes:
    """The binary data of a tensor of BYTES."""
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def read(
    content: bytes, model: Signature, header: str | None = None, limits: InputLimits = LIMITS
) -> DecodedInfer:
    """What a body says."""
    return decode_infer(content, header, model, limits)


def refused(content: bytes, model: Signature, header: str | None = None, *, status: int = 400) -> str:
    """The detail of the problem with which a body is refused: one short line."""
    with pytest.raises(ProblemError) as error:
        read(content, model, header)
    detail = error.value.problem.detail
    assert error.value.problem.status == status, detail
    assert detail.isprintable()
    assert len(detail) < 500
    return detail
