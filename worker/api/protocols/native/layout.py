"""What a row of a signature is: its names, and the shape of each value.

The rules:

- A signature has rows if dimension 0 of every input has any size. Otherwise a body gives complete tensors.
  Optional inputs do not count; a body that has one without rows gives complete tensors as well.
- A value of a row has the shape of the input without dimension 0. An input of shape [?] or [?, 1] is a
  column: its values are plain numbers or strings.
- A table of one input of shape [?, N] has column names only where model.toml gives them. Then a row has
  these names, or the input's name with a list of N values. A list without a name is refused, so that nobody
  depends on an order that they did not write down.
- Several inputs are told apart by name. TensorFlow sorts them by name (G1, G10, G2), so a list would be read
  in an order that nobody means.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import numpy_dtype
from tfleet.worker.api.protocols.problems import bad_input, check_names, quoted
from tfleet.worker.model.signature import Signature, TensorInfo, shape_text

_VECTOR_RANK: Final = 2
_MOST_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """One input's part of a row. `dims` is its shape without dimension 0; None is any size."""

    info: TensorInfo
    dims: tuple[int | None, ...]

    @property
    def name(self) -> str:
        """The input's name."""
        return self.info.name

    @property
    def plain(self) -> bool:
        """Whether it is a column: one plain value in each row."""
        return self.dims in {(), (1,)}

    @property
    def rank(self) -> int:
        """How many lists deep a value is."""
        return 0 if self.plain else len(self.dims)

    @property
    def is_vector(self) -> bool:
        """Whether it is a list of a fixed number of values, which could have names."""
        return len(self.dims) == 1 and self.dims[0] is not None and not self.plain

    @property
    def word(self) -> str:
        """What a message calls it."""
        return "column" if self.plain else "input"

    def with_dims(self, values: Array) -> Array:
        """A vector of values of a column in the input's shape."""
        return values.reshape(-1, 1) if self.dims else values

    @property
    def value_text(self) -> str:
        """One value, in words: `one float32`, `float32 values of shape [28, 28]`."""
        return (
            f"one {self.info.dtype}"
            if self.plain
            else f"{self.info.dtype} values of shape {shape_text(self.dims)}"
        )


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The rows of a signature.

    `cells` has the inputs that are part of a row; it is empty for a signature without rows. `columns` names
    the places in the vector of a table with one input. `optional` has the inputs that may be left out; those
    of them without a dimension for rows are `extras`, which can be sent with complete tensors only.
    `common` is any of the inputs of a table whose columns all have the same dtype; None for all else.
    """

    signature: Signature
    cells: Mapping[str, Cell]
    columns: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    extras: frozenset[str] = frozenset()
    common: TensorInfo | None = None

    @property
    def has_rows(self) -> bool:
        """Whether a body may have several rows."""
        return bool(self.cells)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of all inputs, sorted."""
        return tuple(info.name for info in self.signature.inputs)

    @property
    def row_names(self) -> tuple[str, ...]:
        """The names of the inputs that are part of a row, sorted."""
        return tuple(self.cells)

    @property
    def only(self) -> Cell | None:
        """The input of a signature with rows and one input."""
        return next(iter(self.cells.values())) if len(self.cells) == 1 else None

    def by_column(self, found: Sequence[str], where: str) -> bool:
        """Whether these names of a row are column names (True) or the inputs' names (False).

        Raises ProblemError (400) unless they are all of either, each once.
        """
        if self.columns and not (len(found) == 1 and found[0] in self.cells and found != list(self.columns)):
            check_names(found, self.columns, where)
            return True
        only = self.only
        if only is not None and only.is_vector and found and only.name not in found:
            raise self.no_columns(where, f"rows as lists of {only.dims[0]} values")
        check_names(found, self.row_names, where, self.optional)
        return False

    def table_names(self, form: str) -> tuple[str, ...]:
        """The columns of a form that has one plain value in each cell, such as CSV.

        Raises ProblemError (400) where a signature has no such columns.
        """
        if self.columns:
            return self.columns
        if not self.has_rows:
            raise bad_input(f"{form} has rows, and {self.no_rows}")
        for cell in self.cells.values():
            if cell.is_vector and len(self.cells) == 1:
                raise self.no_columns(form, f"rows as JSON, as lists of {cell.dims[0]} values")
            if not cell.plain:
                raise bad_input(
                    f"input {quoted(cell.name)} takes {cell.value_text} in each row, and {form} has "
                    "one value in a "
                    "cell: send JSON, an Arrow stream or .npz"
                )
        return self.row_names

    def assemble(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """The inputs, from one array of shape [rows] for each of `table_names`, in the inputs' dtypes."""
        if not self.columns:
            cells = (self.cells[name] for name in columns)
            return {cell.name: cell.with_dims(columns[cell.name]) for cell in cells}
        only = self.only
        assert only is not None, "columns are of the one input"
        vector = np.empty((len(columns[self.columns[0]]), len(self.columns)), numpy_dtype(only.info))
        for index, name in enumerate(self.columns):
            vector[:, index] = columns[name]
        return {only.name: vector}

    def column_info(self, name: str) -> TensorInfo:
        """The input to which a column of `table_names` belongs."""
        only = self.only
        return only.info if self.columns and only is not None else self.cells[name].info

    @property
    def no_rows(self) -> str:
        """Why the signature has no rows, and what to send instead."""
        fixed = next((info for info in self.signature.inputs if not _has_rows(info)), None)
        if fixed is None:
            return "the signature has no inputs: send {}"
        shape = f"shape {shape_text(fixed.shape)}, without a dimension for rows"
        if fixed.shape is None:
            shape = "any number of dimensions, so nothing says which one is for rows"
        example = ", ".join(f'"{name}": ...' for name in self.input_names[:_MOST_SHOWN])
        return (
            f"the model's input {quoted(fixed.name)} has {shape}: send complete tensors, as in "
            f"{{{example}}}, or as .npz"
        )

    def no_columns(self, where: str, instead: str) -> ProblemError:
        """The problem where names are used for a vector whose places have no names; what to send instead."""
        only = self.only
        assert only is not None, "it is about the one input"
        count = only.dims[0]
        return bad_input(
            f"{where} has names, and the {count} values of the model's input {quoted(only.name)} have "
            f'none: send {instead}, or write columns = ["FIRST", "SECOND", ...] with {count} names under '
            "[model] in model.toml of the model's folder"
        )


@functools.lru_cache(maxsize=64)
def row_layout(signature: Signature, columns: tuple[str, ...] = ()) -> RowLayout:
    """The layout of a signature's rows. Raises ValueError for columns that do not fit it."""
    if columns:
        _check_columns(signature, columns)
    optional = frozenset(info.name for info in signature.inputs if info.optional)
    cells = {
        info.name: Cell(info, info.shape[1:])
        for info in signature.inputs
        if info.shape is not None and _has_rows(info)
    }
    without = {info.name for info in signature.inputs} - cells.keys()
    if without - optional:
        return RowLayout(signature, {}, (), optional)
    return RowLayout(signature, cells, columns, optional, frozenset(without), _common(list(cells.values())))


def _common(cells: Sequence[Cell]) -> TensorInfo | None:
    alike = all(cell.plain and cell.info.dtype == cells[0].info.dtype for cell in cells)
    return cells[0].info if cells and alike else None


def _has_rows(info: TensorInfo) -> bool:
    return bool(info.shape) and info.shape is not None and info.shape[0] is None


def _check_columns(signature: Signature, columns: Iterable[str]) -> None:
    names = tuple(columns)
    if len(signature.inputs) != 1:
        raise ValueError(f"columns are for a model with one input, and this one has {len(signature.inputs)}")
    only = signature.inputs[0]
    if only.shape is None or len(only.shape) != _VECTOR_RANK or only.shape[0] is not None:
        raise ValueError(f"columns are for an input of shape [?, {len(names)}], and this is {only}")
    if only.shape[1] not in {None, len(names)}:
        raise ValueError(f"there are {len(names)} columns, and the input is {only}")
    if len(set(names)) != len(names):
        raise ValueError("a column occurs twice")
