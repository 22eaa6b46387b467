"""The tensors of a request: from binary data and from JSON.

The rules:

- The datatype of a tensor has to be that of the model's input. Nothing is converted, except that a JSON
  number without a fraction is taken for a float, and that a float is rounded to its precision.
- A shape accounts for every byte and every value: there is one value for each element, no less and no more.
- JSON data are a flat list in row-major order, or lists within lists in the tensor's shape.
- Binary data are little-endian, as is every machine that TensorFlow runs on. A string is its length, as a
  uint32, and its bytes. A bool is a byte of 0 or 1.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from tfleet.contract.names import JSON_LENGTH
from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import bytes_array, decode_b64, from_scalars, numpy_dtype
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.nested import flatten, position
from tfleet.worker.api.protocols.oip.datatypes import BOOL, BYTES, datatype
from tfleet.worker.api.protocols.oip.request import BINARY_DATA_SIZE, RequestInput
from tfleet.worker.api.protocols.problems import (
    CellError,
    bad_input,
    check_names,
    counted,
    place,
    shown,
)
from tfleet.worker.model.signature import Signature, TensorInfo

_LENGTH: Final = struct.Struct("<I")
_STRING_BYTES: Final = 60  # a bytes object without its bytes, and its place in an array


def decode_inputs(
    sent: Sequence[RequestInput],
    tail: memoryview,
    signature: Signature,
    limits: InputLimits,
    image_input: str | None = None,
) -> dict[str, Array]:
    """The inputs by name. `tail` is the binary part of the body; arrays of numbers are views of it.

    `image_input` is the input that takes images as BYTES, too. Raises ProblemError: 400 for tensors that do
    not fit the signature, 413 over a limit.
    """
    names = [info.name for info in signature.inputs]
    optional = {info.name for info in signature.inputs if info.optional}
    check_names([each.name for each in sent], names, "the request", optional)
    infos = [_info(each, signature, image_input) for each in sent]
    found, begin = {}, 0
    for each, info in zip(sent, infos, strict=True):
        if each.binary_bytes is None:
            found[each.name] = from_json(each, info, limits)
            continue
        end = begin + each.binary_bytes
        if end > len(tail):
            raise bad_input(
                f"{place(each.name)}: {BINARY_DATA_SIZE} is {each.binary_bytes}, and {len(tail) - begin} "
                f"bytes of the body are left: see {JSON_LENGTH}"
            )
        found[each.name] = from_bytes(tail[begin:end], info, each.shape, limits)
        begin = end
    limits.check_together(sum(array.nbytes for array in found.values()))
    if begin != len(tail):
        raise bad_input(
            f"the binary part has {len(tail)} bytes, and the inputs have {begin} of them by their "
            f"{BINARY_DATA_SIZE}: see {JSON_LENGTH}"
        )
    return found


def _info(sent: RequestInput, signature: Signature, image_input: str | None) -> TensorInfo:
    """The input that was sent, as a tensor of strings where it is an image for the model's preprocessing."""
    info = signature.input(sent.name)
    assert info is not None, "the names have been checked"
    wanted = datatype(info.dtype)
    if wanted is None:
        numpy_dtype(info)
        raise bad_input(f"{place(sent.name)} is {info.dtype}, for which the protocol has no datatype")
    if sent.datatype == wanted:
        return info
    if sent.datatype == BYTES and sent.name == image_input:
        return TensorInfo(info.name, info.tensor, "string", None)
    images = f", or {BYTES} with an image" if sent.name == image_input else ""
    raise bad_input(f"{place(sent.name)}: datatype is {sent.datatype}, and the model takes {wanted}{images}")


def from_bytes(data: memoryview, info: TensorInfo, shape: Sequence[int], limits: InputLimits) -> Array:
    """A tensor from its binary data. Raises ProblemError (400, 413)."""
    kind, count = datatype(info.dtype), math.prod(shape)
    if kind == BYTES:
        return _strings(data, info, count, limits).reshape(shape)
    dtype = numpy_dtype(info)
    if count * dtype.itemsize != len(data):
        raise bad_input(
            f"{place(info.name)}: shape {list(shape)} of {kind} has {count * dtype.itemsize} bytes, and "
            f"{len(data)} were sent"
        )
    limits.check_tensor(shape, dtype.itemsize)
    if kind == BOOL and (np.frombuffer(data, np.uint8) > 1).any():
        raise bad_input(f"{place(info.name)}: a byte of a {BOOL} is 0 or 1, and there are others")
    flat: Array = np.frombuffer(data, dtype) if count else np.empty(0, dtype)
    return flat.reshape(shape)


def _strings(data: memoryview, info: TensorInfo, count: int, limits: InputLimits) -> Array:
    size = len(data)
    if count * _LENGTH.size > size:
        raise bad_input(
            f"{place(info.name)}: {counted(count, 'string')} have at least {count * _LENGTH.size} bytes, "
            f"and {size} were sent: each one has its length before it"
        )
    limits.check_strings(count)
    limits.reserve(count * _STRING_BYTES + size)
    found, begin = [], 0
    for index in range(count):
        end = begin + _LENGTH.size
        if end <= size:
            begin, end = end, end + _LENGTH.unpack_from(data, begin)[0]
        if end > size:
            raise bad_input(
                f"{place(info.name)}: string {index} (the first is 0) goes beyond the end of the "
                f"tensor's {size} bytes"
            )
        found.append(bytes(data[begin:end]))
        begin = end
    if begin != size:
        raise bad_input(
            f"{place(info.name)}: {size - begin} bytes are left behind {counted(count, 'string')}: their "
            "number has to be that of the shape"
        )
    return bytes_array(found)


def from_json(sent: RequestInput, info: TensorInfo, limits: InputLimits) -> Array:
    """A tensor from the JSON document. Raises ProblemError (400, 413)."""
    flat = _flat(sent)
    limits.check_tensor(sent.shape, numpy_dtype(info).itemsize)
    try:
        array = _from_base64(flat) if sent.base64 and info.dtype == "string" else from_scalars(flat, info)
    except CellError as error:
        raise bad_input(f"{position(error.index, (1, *sent.shape), sent.name, one=True)}: {error}") from error
    return array.reshape(sent.shape)


def _flat(sent: RequestInput) -> list[Any]:
    data, shape = sent.data, sent.shape
    if not isinstance(data, list):
        raise bad_input(f"{place(sent.name)}: data is {shown(data)}: send a list of its values")
    if len(shape) > 1 and data and isinstance(data[0], list):
        return flatten([data], shape, sent.name, one=True)[0]
    count = math.prod(shape)
    if len(data) != count:
        raise bad_input(
            f"{place(sent.name)}: data has {counted(len(data), 'value')}, and the shape {list(shape)} has "
            f"{count}"
        )
    return data


def _from_base64(flat: Sequence[Any]) -> Array:
    found = []
    for index, text in enumerate(flat):
        if not isinstance(text, str):
            raise CellError(index, f"{shown(text)} is not a string in base64")
        try:
            found.append(decode_b64(text))
        except ValueError as error:
            raise CellError(index, f"the string is not base64 ({error})") from error
    return bytes_array(found)


def rows_sent(inputs: Mapping[str, Array], signature: Signature, limits: InputLimits) -> int | None:
    """How many rows the inputs have; None where they are complete tensors, which never run with others.

    They have rows if dimension 0 of each is of any size in the signature, and of the same size in all.
    Raises ProblemError (413) for too many.
    """
    sizes = set()
    for name, array in inputs.items():
        info = signature.input(name)
        if info is None or not info.shape or info.shape[0] is not None or not array.ndim:
            return None
        sizes.add(array.shape[0])
    if len(sizes) != 1 or 0 in sizes:
        return None
    (rows,) = sizes
    limits.check_rows(rows)
    return int(rows)
