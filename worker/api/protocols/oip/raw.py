"""A raw request: no JSON, the body is the model's one input. The rules are Triton's.

- The model has one input, of known rank.
- Rows: it is one row, where dimension 0 is of any size and others follow.
- At most one other dimension is of any size; it follows from the size of the body.
- A string is the whole body, without a length before it.
- All outputs are binary.
"""

from __future__ import annotations

import math
from typing import Final

from tfleet.contract.names import JSON_LENGTH
from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import bytes_array, numpy_dtype
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.oip.datatypes import BYTES, datatype
from tfleet.worker.api.protocols.oip.request import WantedAnswer
from tfleet.worker.api.protocols.oip.tensors import from_bytes
from tfleet.worker.api.protocols.problems import bad_input, quoted
from tfleet.worker.model.signature import Signature, TensorInfo, shape_text

RAW: Final = WantedAnswer(binary_output=True)
"""The answer that a raw request wants."""

_SEND_JSON: Final = f"send a JSON part with the shape, and its length in {JSON_LENGTH}"


def decode_raw(
    body: memoryview, signature: Signature, limits: InputLimits, image_input: str | None = None
) -> dict[str, Array]:
    """The input in a body without JSON; `image_input` takes images in other requests, which messages say.

    Raises ProblemError (400, 413).
    """
    if len(signature.inputs) != 1:
        raise bad_input(
            f"{JSON_LENGTH} is 0, so the body is the model's one input, and it has "
            f"{len(signature.inputs)}: {_SEND_JSON}"
        )
    (info,) = signature.inputs
    kind = datatype(info.dtype)
    if kind is None:
        numpy_dtype(info)
        raise bad_input(f"input {quoted(info.name)} is {info.dtype}, for which the protocol has no datatype")
    if kind == BYTES:
        return {info.name: bytes_array([bytes(body)]).reshape(_one_string(info))}
    advice = _SEND_JSON if info.name != image_input else f"{_SEND_JSON}, and the image as {BYTES}"
    shape = _shape(info, len(body), numpy_dtype(info).itemsize, advice)
    return {info.name: from_bytes(body, info, shape, limits)}


def _one_string(info: TensorInfo) -> tuple[int, ...]:
    if info.shape is None or set(info.shape) - {None, 1}:
        raise bad_input(
            f"input {quoted(info.name)} takes {BYTES} of shape {shape_text(info.shape)}, and a body without "
            f"a JSON part is one string: {_SEND_JSON}"
        )
    return (1,) * len(info.shape)


def _shape(info: TensorInfo, size: int, item_bytes: int, advice: str) -> tuple[int, ...]:
    if info.shape is None:
        raise bad_input(f"input {quoted(info.name)} is of any rank: {advice}")
    dims = list(info.shape)
    if len(dims) > 1 and dims[0] is None:
        dims[0] = 1
    if dims.count(None) > 1:
        raise bad_input(
            f"input {quoted(info.name)} has shape {shape_text(info.shape)}, whose open dimensions don't "
            f"follow from {size} bytes: {advice}"
        )
    known = math.prod(dim for dim in dims if dim is not None) * item_bytes
    if None in dims and known and size % known == 0:
        dims[dims.index(None)] = size // known
    if None in dims or math.prod(dim or 0 for dim in dims) * item_bytes != size:
        raise bad_input(
            f"input {quoted(info.name)} takes {datatype(info.dtype)} of shape {shape_text(tuple(dims))}, and "
            f"the body has {size} bytes: {advice}"
        )
    return tuple(dim or 0 for dim in dims)
