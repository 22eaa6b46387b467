"""JSON bodies: one row, many rows, columns, or complete tensors.

How deep the lists of a value are, going by its first elements, says which of these it is:

- `{"G1": 1, "G2": 0}` and, for a model with one input, `[1, 0]`: one row;
- `[{"G1": 1, "G2": 0}, ...]` and `[[1, 0], ...]`: rows;
- `{"G1": [1, 0, 1], "G2": [0, 0, 1]}`: columns;
- a signature without rows takes `{"x": tensor, "y": tensor}` or, with one input, the tensor itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.decoded import Array, DecodedInputs
from tfleet.worker.api.protocols.dtypes import B64, from_scalars, numpy_dtype
from tfleet.worker.api.protocols.json_document import JsonDocument, parse
from tfleet.worker.api.protocols.json_rows import colons_in, colons_of, picked
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native.layout import Cell, RowLayout
from tfleet.worker.api.protocols.nested import MAX_DEPTH, depth_of, flatten, position
from tfleet.worker.api.protocols.problems import (
    CellError,
    bad_input,
    check_names,
    names_text,
    place,
    quoted,
)
from tfleet.worker.model.signature import TensorInfo, shape_text

_OBJECT: Final = "the JSON object"
_INSTANCES: Final = "instances"
_NO_ROWS: Final = "the JSON document has no rows: send at least one"


def decode_json(body: bytes, layout: RowLayout, limits: InputLimits) -> DecodedInputs:
    """The inputs in a JSON document. Raises ProblemError (400, 413)."""
    document = parse(body, limits)
    if _is_object(document.value):
        _check_wrapper(document.value, layout)
    extra = _is_object(document.value) and not layout.extras.isdisjoint(document.value)
    if layout.has_rows and not extra:
        return _RowReader(document, layout, limits).read()
    return _read_whole(document, layout, limits)


def _check_wrapper(value: dict[str, Any], layout: RowLayout) -> None:
    """Raise ProblemError for the body that TensorFlow Serving takes."""
    if _INSTANCES in value and _INSTANCES not in (*layout.input_names, *layout.columns):
        raise bad_input(
            f'{_OBJECT} has "{_INSTANCES}", as TensorFlow Serving takes it: send it to a worker at '
            f'/v1/models/NAME:predict, or the list of rows alone, without {{"{_INSTANCES}": ...}}'
        )


class _RowReader:
    """Reads a document for a signature with rows. `colons` counts those that were seen, see check_keys()."""

    def __init__(self, document: JsonDocument, layout: RowLayout, limits: InputLimits) -> None:
        self._document = document
        self._layout = layout
        self._limits = limits
        self._colons = 0

    def read(self) -> DecodedInputs:
        value = self._document.value
        if _is_object(value):
            found = self._object(value)
        elif isinstance(value, list) and value and _is_object(value[0]):
            found = self._rows(value, self._layout.by_column(list(value[0]), "row 0"))
        else:
            found = self._unnamed(value)
        self._document.check_keys(self._colons)
        return found

    def _object(self, value: dict[str, Any]) -> DecodedInputs:
        by_column = self._layout.by_column(list(value), _OBJECT)
        if list in map(type, value.values()):
            cells = self._layout.cells
            ranks = {name: 0 if by_column else cells[name].rank for name in value}
            deep = {name: depth_of(item) > ranks[name] for name, item in value.items()}
            _check_alike(deep)
            if any(deep.values()):
                return self._columns(value, by_column)
        return self._rows([value], by_column, one_row=True)

    def _columns(self, value: dict[str, Any], by_column: bool) -> DecodedInputs:
        self._colons += colons_of(value)
        lengths = {name: len(column) for name, column in value.items()}
        first, rows = next(iter(lengths.items()))
        for name, length in lengths.items():
            if length != rows:
                raise bad_input(
                    f"column {quoted(name)} has {length} rows and {quoted(first)} has {rows}: all "
                    "columns need as many"
                )
        self._check_rows(rows)
        if by_column:
            only = self._only
            vector = {name: self._plain(name, only.info, value[name]) for name in self._layout.columns}
            return DecodedInputs(self._layout.assemble(vector), rows)
        inputs = {name: self._cells(self._layout.cells[name], column) for name, column in value.items()}
        return DecodedInputs(inputs, rows)

    def _rows(self, rows: list[Any], by_column: bool, *, one_row: bool = False) -> DecodedInputs:
        self._check_rows(len(rows))
        layout = self._layout
        names = layout.columns if by_column else tuple(name for name in layout.cells if name in rows[0])
        values = picked(rows, names)
        self._colons += len(rows) * colons_of(names)
        if by_column:
            return DecodedInputs(
                {self._only.name: self._matrix(values, names, self._only.info, one_row)}, len(rows), one_row
            )
        if layout.common is not None and list not in map(type, values[0]):
            # Ten columns as one matrix take a fifth of the time.
            matrix = self._matrix(values, names, layout.common, one_row)
            inputs = layout.assemble(dict(zip(names, np.ascontiguousarray(matrix.T), strict=True)))
            return DecodedInputs(inputs, len(rows), one_row)
        inputs = {
            name: self._cells(layout.cells[name], list(column), one_row)
            for name, column in zip(names, zip(*values, strict=True), strict=True)
        }
        return DecodedInputs(inputs, len(rows), one_row)

    def _unnamed(self, value: Any) -> DecodedInputs:
        if value == []:
            raise bad_input(_NO_ROWS)
        cell = self._layout.only
        if cell is None or self._layout.columns:
            names = self._layout.columns or self._layout.row_names
            raise bad_input(
                "the values in the JSON document have no names: send each row as an object with "
                f"{names_text(names)}"
            )
        depth = depth_of(value)
        if depth > cell.rank:
            self._check_rows(len(value))
            return DecodedInputs({cell.name: self._cells(cell, value)}, len(value))
        if depth < cell.rank:
            raise bad_input(
                f"the model's input {quoted(cell.name)} takes {cell.value_text} in each row: send a list "
                f"{cell.rank} deep for one row, or {cell.rank + 1} deep for many"
            )
        return DecodedInputs({cell.name: self._cells(cell, [value], one_row=True)}, 1, one_row=True)

    def _cells(self, cell: Cell, rows: list[Any], one_row: bool = False) -> Array:
        """One input's values in all rows."""
        dims: Sequence[int | None] = cell.dims
        if cell.plain and not (rows and isinstance(rows[0], list) and cell.dims):
            dims = ()
        flat, shape = flatten(rows, dims, cell.name, word=cell.word, one=one_row)
        found = self._converted(flat, shape, cell, one_row)
        return found.reshape(len(rows), *shape[1:]) if len(dims) == len(cell.dims) else found.reshape(-1, 1)

    def _converted(self, flat: list[Any], shape: tuple[int, ...], cell: Cell, one_row: bool) -> Array:
        self._limits.check_tensor(shape, numpy_dtype(cell.info).itemsize)
        try:
            return self._read_values(flat, cell.info)
        except CellError as error:
            where = position(error.index, shape, cell.name, word=cell.word, one=one_row)
            raise _at_value(where, error) from error

    def _matrix(
        self, rows: list[tuple[Any, ...]], names: Sequence[str], info: TensorInfo, one_row: bool
    ) -> Array:
        """Rows of plain values, all of one dtype, in the shape [rows, names]."""
        flat = list(chain.from_iterable(rows))
        try:
            return self._read_values(flat, info).reshape(-1, len(names))
        except CellError as error:
            row, column = divmod(error.index, len(names))
            raise _at_value(place(names[column], None if one_row else row, word="column"), error) from error

    def _plain(self, name: str, info: TensorInfo, values: list[Any]) -> Array:
        try:
            return self._read_values(values, info)
        except CellError as error:
            raise _at_value(place(name, error.index, word="column"), error) from error

    def _read_values(self, flat: list[Any], info: TensorInfo) -> Array:
        found = from_scalars(flat, info)
        if info.dtype == "string":
            self._colons += colons_in(flat)
        return found

    def _check_rows(self, rows: int) -> None:
        if not rows:
            raise bad_input(_NO_ROWS)
        self._limits.check_rows(rows)

    @property
    def _only(self) -> Cell:
        only = self._layout.only
        assert only is not None, "columns are of the one input"
        return only


def _read_whole(document: JsonDocument, layout: RowLayout, limits: InputLimits) -> DecodedInputs:
    """The complete tensors of a signature without rows."""
    value = document.value
    infos = layout.signature.inputs
    colons = 0
    if not _is_object(value):
        if len(infos) != 1 or (isinstance(value, list) and value and _is_object(value[0])):
            raise bad_input(layout.no_rows)
        value = {infos[0].name: value}
    else:
        if value or layout.optional != set(layout.input_names):
            check_names(list(value), layout.input_names, _OBJECT, layout.optional)
        colons = colons_of(value)
    inputs = {}
    for info in infos:
        if info.name in value:
            inputs[info.name], inside = _tensor(value[info.name], info, limits)
            colons += inside
    document.check_keys(colons)
    return DecodedInputs(inputs, 1, whole=True)


def _tensor(value: Any, info: TensorInfo, limits: InputLimits) -> tuple[Array, int]:
    """A complete tensor, and the colons in its strings and objects."""
    depth = depth_of(value)
    if depth > MAX_DEPTH:
        raise bad_input(f"input {quoted(info.name)}: the value is more than {MAX_DEPTH} lists deep")
    dims: Sequence[int | None] = (None,) * depth if info.shape is None else info.shape
    if depth != len(dims) and not (depth < len(dims) and 0 in _shape_so_far(value)):
        raise bad_input(
            f"input {quoted(info.name)} takes shape {shape_text(info.shape)}, and the body's value is "
            f"{depth} lists deep"
        )
    # The one tensor is read as if it were the one row of a list.
    flat, shape = flatten([value], dims, info.name, one=True)
    limits.check_tensor(shape, numpy_dtype(info).itemsize)
    try:
        found = from_scalars(flat, info).reshape(shape[1:])
    except CellError as error:
        raise _at_value(position(error.index, shape, info.name, one=True), error) from error
    return found, colons_in(flat) if info.dtype == "string" else 0


def _shape_so_far(value: Any) -> list[int]:
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return sizes


def _is_object(value: Any) -> bool:
    """Whether it is an object of named values, and not bytes in base64."""
    return isinstance(value, dict) and value.keys() != {B64}


def _check_alike(lists: dict[str, bool]) -> None:
    """Raise ProblemError (400) if some columns are lists of rows and others are one row's value."""
    if any(lists.values()) and not all(lists.values()):
        many = next(name for name, is_list in lists.items() if is_list)
        one = next(name for name, is_list in lists.items() if not is_list)
        raise bad_input(
            f"{quoted(many)} is a list of rows and {quoted(one)} is the value of one row: send one "
            "value for each "
            "name, or one list for each"
        )


def _at_value(where: str, error: CellError) -> ProblemError:
    return bad_input(f"{where}: {error}")
