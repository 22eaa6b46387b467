"""Which columns of the input the model takes, and which ones are read besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import from_array
from tfleet.worker.api.protocols.native.arrow_input import check_types
from tfleet.worker.api.protocols.native.layout import Cell, RowLayout
from tfleet.worker.api.protocols.problems import names_text, quoted
from tfleet.worker.model.signature import TensorInfo


class TakenColumns(Protocol):
    """The columns of the input that the model takes."""

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""

    def check(self, schema: pa.Schema, where: str) -> None:
        """Raise CannotScoreError for a column of a type that the model does not take."""


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """A column with the paths of images, or with their bytes."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def check(self, schema: pa.Schema, where: str) -> None:
        """Raise CannotScoreError for a column that has neither text nor bytes."""
        kind = schema.field(self.name).type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise CannotScoreError(
                f"{where}: column {quoted(self.name)} is {kind}, and has to have paths of images, "
                "or their bytes"
            )


@dataclass(frozen=True, slots=True)
class ModelColumns:
    """The columns that the model takes: with `by_column` those that model.toml names, else its inputs."""

    layout: RowLayout
    names: tuple[str, ...]
    by_column: bool

    def check(self, schema: pa.Schema, where: str) -> None:
        """Raise CannotScoreError for a column whose type its input does not take."""
        for field in (schema.field(name) for name in self.names):
            cells = self.layout.cells
            info = self.layout.column_info(field.name) if self.by_column else cells[field.name].info
            try:
                check_types(pa.schema([field]), self.layout, by_column=self.by_column)
                if info.dtype != "string":
                    from_array(_no_numbers(field.type), info)
            except ProblemError as error:
                raise CannotScoreError(
                    f"{where}: column {quoted(field.name)} is {field.type}, and the model takes {info}: "
                    "convert it first"
                ) from error


def _no_numbers(kind: pa.DataType) -> Array:
    """An empty array of the numbers in a column of this type."""
    while isinstance(kind, pa.FixedShapeTensorType) or pa.types.is_nested(kind):
        kind = kind.value_type
    found: Array = pa.array([], kind).to_numpy(zero_copy_only=False)
    return found


def model_columns(layout: RowLayout, there: Sequence[str], where: str) -> ModelColumns:
    """The model's columns among those that are `there`. Raises CannotScoreError where one is missing."""
    if not layout.has_rows:
        raise CannotScoreError(f"{where} has rows, and {layout.no_rows}")
    present = frozenset(there)
    if layout.columns and present.issuperset(layout.columns):
        return ModelColumns(layout, layout.columns, by_column=True)
    taken = tuple(name for name in layout.row_names if name in present)
    missing = [name for name in layout.row_names if name not in present and name not in layout.optional]
    if not missing and taken:
        return ModelColumns(layout, taken, by_column=False)
    if layout.columns:
        missing = [name for name in layout.columns if name not in present]
    elif layout.only is not None and layout.only.is_vector:
        missing = list(layout.row_names)
    raise CannotScoreError(
        f"{where} lacks the columns {names_text(missing)} that the model takes; it has {names_text(there)}"
    )


_IMAGE_COLUMNS: Final = ("path", "image")


def image_column(stated: str | None, there: Sequence[str], where: str) -> ImageColumn:
    """The column with images: the stated one, or `path` or `image`.

    Raises CannotScoreError if it is missing.
    """
    wished = _IMAGE_COLUMNS if stated is None else (stated,)
    found = next((name for name in wished if name in there), None)
    if found is None:
        wanted = quoted(stated) if stated else "'path' or 'image' with paths of images or their bytes"
        raise CannotScoreError(
            f"{where} lacks the column {wanted}; it has {names_text(there)}: choose one with --image-column"
        )
    return ImageColumn(found)


def column_infos(layout: RowLayout) -> Mapping[str, TensorInfo]:
    """The inputs of the model by the names that a column may have, where it has one plain value in a row."""
    plain = {name: cell.info for name, cell in layout.cells.items() if cell.plain}
    return plain | {name: layout.column_info(name) for name in layout.columns}


def list_cells(layout: RowLayout) -> Mapping[str, Cell]:
    """The inputs of the model that take lists."""
    return {name: cell for name, cell in layout.cells.items() if not cell.plain}


def columns_to_read(
    there: Sequence[str], keep: Sequence[str] | None, *needed: Iterable[str], where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns to read, in their order, and those of them that the output has: all, or those to `keep`.

    Raises CannotScoreError for a column to keep that is not there.
    """
    absent = [name for name in keep or () if name not in there]
    if absent:
        raise CannotScoreError(
            f"--keep names {names_text(absent)}, which {where} does not have; it has {names_text(there)}"
        )
    kept = tuple(there) if keep is None else tuple(name for name in there if name in keep)
    read = {*kept, *(name for names in needed for name in names)}
    return tuple(name for name in there if name in read), kept
