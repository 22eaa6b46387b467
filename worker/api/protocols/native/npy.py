"""NumPy's `.npy` (one tensor) and `.npz` (tensors by name), without pickles and without `numpy.load`.

The header is a Python expression; it is matched against the one form that all writers use, and never
evaluated. Its shape must account for every byte of the body before an array is made. The array is a view of
the body. Format: NumPy's NEP 1, versions 1 to 3.
"""

from __future__ import annotations

import io
import math
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, Final

import ml_dtypes
import numpy as np
from numpy.lib import format as npy_format

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.decoded import Array, DecodedInputs
from tfleet.worker.api.protocols.dtypes import bytes_array, from_array, kind_of, numpy_dtype, unfit
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native.layout import Cell, RowLayout
from tfleet.worker.api.protocols.native.npz_archive import read_members
from tfleet.worker.api.protocols.nested import position
from tfleet.worker.api.protocols.problems import (
    CellError,
    bad_input,
    check_names,
    not_acceptable,
    quoted,
)
from tfleet.worker.model.signature import TensorInfo, shape_text

MAGIC: Final = b"\x93NUMPY"
_MOST_HEADER: Final = 4096
_LENGTH_BYTES: Final = {1: 2, 2: 4, 3: 4}
_SUFFIX: Final = ".npy"
# Each repetition is possessive (`*+`): without it a header of blanks can be split in so many ways that a
# mismatch takes seconds, and Python's re lets no other thread run meanwhile.
_SIZES: Final = r"\d{1,18}+L?+\s*+(?:,\s*+\d{1,18}+L?+\s*+)*+,?+\s*+"
_VALUE: Final = rf"(?>'[^']*+'|True|False|\(\s*+(?:{_SIZES})?+\))"
_ITEM: Final = rf"'(?:descr|fortran_order|shape)'\s*+:\s*+{_VALUE}"
_HEADER: Final = re.compile(rf"\{{\s*+{_ITEM}\s*+,\s*+{_ITEM}\s*+,\s*+{_ITEM}\s*+,?+\s*+\}}\s*+")
_DESCR: Final = re.compile(r"'descr'\s*:\s*'([<>|=]?)([a-zA-Z])(\d{1,9})'")
_SHAPE: Final = re.compile(r"'shape'\s*:\s*\(([^)]*)\)")
_FORTRAN: Final = re.compile(r"'fortran_order'\s*:\s*True")
_NUMBER: Final = re.compile(r"\d+")
_MOST_DIMENSIONS: Final = 32
_UCS4: Final = 4
_NO_UNICODE: Final = "the string is not Unicode"
_STRING_BYTES: Final = 100  # a str and a bytes object without their characters


def decode_npy(body: bytes, layout: RowLayout, limits: InputLimits) -> DecodedInputs:
    """The tensor of a model with one input. Raises ProblemError (400, 413)."""
    infos = layout.signature.inputs
    if len(infos) != 1:
        raise bad_input(
            f".npy holds one tensor, and the model has {len(infos)} inputs: send .npz with an array for each"
        )
    return _decoded({infos[0].name: memoryview(body)}, layout, limits)


def decode_npz(body: bytes, layout: RowLayout, limits: InputLimits) -> DecodedInputs:
    """Tensors by the inputs' names. Raises ProblemError (400, 413)."""
    members = read_members(body, len(layout.input_names), limits)
    names = [name.removesuffix(_SUFFIX) for name, _ in members]
    check_names(names, layout.input_names, "the .npz file", layout.optional)
    return _decoded(dict(zip(names, (content for _, content in members), strict=True)), layout, limits)


def encode_npy(outputs: Mapping[str, Array]) -> bytes:
    """The one output. Raises ProblemError (406) for a model with several."""
    if len(outputs) != 1:
        raise not_acceptable(
            f".npy holds one tensor, and the model has {len(outputs)} outputs: ask for application/x-npz"
        )
    stream = io.BytesIO()
    _write(stream, *next(iter(outputs.items())))
    return stream.getvalue()


def encode_npz(outputs: Mapping[str, Array]) -> bytes:
    """All outputs by name, not compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in outputs.items():
            # A fixed date: equal outputs are equal bytes.
            with archive.open(zipfile.ZipInfo(name + _SUFFIX), "w") as member:
                _write(member, name, array)
    return stream.getvalue()


def _write(stream: Any, name: str, array: Array) -> None:
    if array.dtype == object:
        # An S array would lose zero bytes at a string's end.
        raise not_acceptable(
            f"output {quoted(name)} holds strings, which .npy cannot: ask for application/json"
        )
    if kind_of(array.dtype) == "f" and array.dtype.kind != "f":  # NumPy itself has no bfloat16
        array = array.astype(np.float32)
    npy_format.write_array(stream, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)


def _decoded(contents: Mapping[str, memoryview], layout: RowLayout, limits: InputLimits) -> DecodedInputs:
    arrays = {}
    infos = [info for info in layout.signature.inputs if info.name in contents]
    for info in infos:
        arrays[info.name] = _read(contents[info.name], info, limits)
    # Before they are converted: int8 for an input of float64 becomes eight times as many bytes.
    sizes = {info: arrays[info.name].size * numpy_dtype(info).itemsize for info in infos}
    limits.check_together(sum(sizes.values()))
    limits.reserve(sum(sizes[info] for info in infos if arrays[info.name].dtype != numpy_dtype(info)))
    if not layout.has_rows or not layout.extras.isdisjoint(contents):
        inputs = {info.name: _whole(arrays[info.name], info) for info in infos}
        return DecodedInputs(inputs, 1, whole=True)
    inputs, counts = {}, {}
    for name, array in arrays.items():
        inputs[name], counts[name] = _with_rows(array, layout.cells[name])
    first, rows = next(iter(counts.items()))
    for name, count in counts.items():
        if count != rows:
            raise bad_input(
                f"array {quoted(name)} has {_count_text(count)} and {quoted(first)} has "
                f"{_count_text(rows)}: all "
                "arrays need as many"
            )
    if rows == 0:
        raise bad_input("the arrays have no rows: send at least one")
    limits.check_rows(rows or 1)
    return DecodedInputs(inputs, rows or 1, one_row=rows is None)


def _count_text(rows: int | None) -> str:
    return "one row without a dimension for rows" if rows is None else f"{rows} rows"


def _whole(array: Array, info: TensorInfo) -> Array:
    if info.shape is not None and not _fits(array.shape, info.shape):
        raise _wrong_shape(info.name, info.shape, array.shape)
    return _converted(array, info, one=True)


def _with_rows(array: Array, cell: Cell) -> tuple[Array, int | None]:
    """The tensor with a dimension for rows, and how many; None where the array was one row without it."""
    shape = array.shape
    if cell.plain and len(shape) <= 1:
        rows = None if shape == () else shape[0]
        return _converted(array, cell.info, one=rows is None).reshape(-1, *(1 for _ in cell.dims)), rows
    if _fits(shape, cell.dims):
        return _converted(array, cell.info, one=True)[np.newaxis], None
    if _fits(shape, (None, *cell.dims)):
        return _converted(array, cell.info), shape[0]
    raise _wrong_shape(cell.name, cell.info.shape or (), shape)


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        want in {None, size} for want, size in zip(wanted, shape, strict=True)
    )


def _wrong_shape(name: str, wanted: Sequence[int | None], found: Sequence[int]) -> ProblemError:
    return bad_input(
        f"input {quoted(name)} takes shape {shape_text(tuple(wanted))}, and the array has "
        f"{shape_text(tuple(found))}"
    )


def _converted(array: Array, info: TensorInfo, *, one: bool = False) -> Array:
    try:
        if info.dtype == "string":
            return _text(array.reshape(-1)).reshape(array.shape)
        return from_array(array, info)
    except CellError as error:
        shape = (1, *array.shape) if one else array.shape
        raise bad_input(f"{position(error.index, shape, info.name, one=one)}: {error}") from error


def _read(content: memoryview, info: TensorInfo, limits: InputLimits) -> Array:
    """An array; a view of the content where it can be."""
    header, begin = _header(content)
    order, letter, size = _DESCR.search(header).groups()  # type: ignore[union-attr] # _header has seen it
    shape = tuple(int(part) for part in _NUMBER.findall(_SHAPE.search(header)[1]))  # type: ignore[index] # the same
    if len(shape) > _MOST_DIMENSIONS:
        raise bad_input(f"the array has {len(shape)} dimensions, more than the {_MOST_DIMENSIONS} allowed")
    dtype = _sent_dtype(order, letter, int(size), info)
    count = math.prod(shape)
    if count * dtype.itemsize != len(content) - begin:
        raise bad_input(
            f"the .npy header declares {count * dtype.itemsize} bytes of data, shape {list(shape)} of "
            f"{letter}{size}, "
            f"and {len(content) - begin} are there"
        )
    limits.check_tensor(shape, numpy_dtype(info).itemsize)
    flat: Array = np.frombuffer(content, dtype, count, begin) if count else np.empty(0, dtype)
    if info.dtype == "string":
        limits.check_strings(count)
        limits.reserve(count * _STRING_BYTES + 2 * flat.nbytes)
    elif not dtype.isnative:
        limits.reserve(flat.nbytes)
        flat = flat.astype(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F" if _FORTRAN.search(header) else "C")


def _header(content: memoryview) -> tuple[str, int]:
    """The header, and where the data begin. Raises ProblemError (400)."""
    fixed = len(MAGIC) + 2
    if bytes(content[: len(MAGIC)]) != MAGIC or len(content) < fixed:
        raise bad_input("the array is not in NumPy's .npy format: write it with numpy.save")
    length_bytes = _LENGTH_BYTES.get(content[len(MAGIC)])
    if length_bytes is None:
        raise bad_input(
            f"the .npy format has no version {content[len(MAGIC)]}: write the array with numpy.save"
        )
    begin = fixed + length_bytes
    length = int.from_bytes(content[fixed:begin], "little")
    if length > _MOST_HEADER or length > len(content) - begin:
        raise bad_input("the .npy header is cut off, or far too long")
    header = bytes(content[begin : begin + length]).decode("latin-1")
    if not _HEADER.fullmatch(header) or not all(part.search(header) for part in (_DESCR, _SHAPE)):
        raise bad_input(
            "the .npy header is no plain array of numbers or strings: objects and records are refused"
        )
    return header, begin + length


def _sent_dtype(order: str, letter: str, size: int, info: TensorInfo) -> np.dtype[Any]:
    wanted = numpy_dtype(info)
    if letter == "V" and size == wanted.itemsize and wanted == ml_dtypes.bfloat16:
        return wanted  # this is how numpy.save writes a bfloat16
    if letter in ("SU" if info.dtype == "string" else "biufc"):
        try:
            dtype = np.dtype(f"{order}{letter}{size}")
        except (TypeError, ValueError):
            dtype = np.dtype("V")
        if dtype.itemsize == size * (_UCS4 if letter == "U" else 1) and size and dtype.itemsize <= 2**31 - 1:
            return dtype
    raise unfit(info, f"an array of {order}{letter}{size}")


def _text(flat: Array) -> Array:
    """Strings as bytes. Raises CellError for the first one that is not Unicode."""
    if flat.dtype.kind == "S":
        return bytes_array(flat.tolist())
    native = np.ascontiguousarray(flat, flat.dtype.newbyteorder("="))
    beyond = native.view(np.uint32) > sys.maxunicode  # which Python's str cannot hold
    if beyond.any():
        raise CellError(int(beyond.argmax()) // (beyond.size // flat.size), _NO_UNICODE)
    found = []
    for index, text in enumerate(native.tolist()):
        try:
            found.append(text.encode())
        except UnicodeEncodeError:  # half of a surrogate pair
            raise CellError(index, _NO_UNICODE) from None
    return bytes_array(found)
