"""JSON Lines: one object in a line. The values of the model's columns follow the rules of a JSON body.

All other fields become text, as those of CSV: a string as it is, anything else as it stands in the line. The
columns are the fields of the first MiB. A later field would be lost, so its row has an error, unless the
columns to keep were named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from tfleet.bulk.errors import BrokenInputError, CannotScoreError
from tfleet.bulk.sources.csv_cells import cell_type
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.json_lists import list_type, lists_column
from tfleet.bulk.sources.json_text import LineTexts, double_name
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits
from tfleet.bulk.sources.text_blocks import BLOCK_BYTES, read_blocks
from tfleet.bulk.sources.text_file import TextFile
from tfleet.worker.api.protocols.dtypes import from_scalars
from tfleet.worker.api.protocols.native.layout import Cell
from tfleet.worker.api.protocols.problems import CellError, names_text, place, quoted
from tfleet.worker.model.signature import TensorInfo

_VALUES_AT_ONCE: Final = 256
_BOM: Final = b"\xef\xbb\xbf"  # no line can begin with it but the first one
_MAX_FIELDS: Final = 10_000


class JsonLinesSource(TextFile):
    """One file. `infos` has the inputs of the model with plain values, `lists` those with lists.

    With `all_fields` a field that is no column is an error of its row. The columns are found if they are not
    given.
    """

    def __init__(
        self,
        file: InputFile,
        number: int,
        limits: PieceLimits,
        infos: Mapping[str, TensorInfo],
        lists: Mapping[str, Cell],
        *,
        all_fields: bool,
        columns: Sequence[str] | None = None,
    ) -> None:
        super().__init__(file, number, limits)
        self._infos = infos
        self._lists = lists
        self._all_fields = all_fields
        self.columns = self._fields() if columns is None else columns

    def __repr__(self) -> str:
        return f"<JsonLinesSource {self.name}>"

    def schema(self, columns: Sequence[str]) -> pa.Schema:
        """The types of these columns."""
        return pa.schema([(name, self._type(name)) for name in columns])

    def pieces(self, start: InputPlace, columns: Sequence[str]) -> Iterator[Piece]:
        """The rows from `start` on."""
        return self._pieces(start, 0, partial(self._read, self.schema(columns)))

    def _type(self, name: str) -> pa.DataType:
        cell = self._lists.get(name)
        return cell_type(self._infos.get(name)) if cell is None else list_type(cell)

    def _fields(self) -> Sequence[str]:
        """The fields of the objects in the first block. Raises CannotScoreError."""
        try:
            with self._file.open_text() as stream:
                block = next(read_blocks(stream, self.name, 0, most_bytes=self._limits.record_bytes), None)
        except BrokenInputError as error:
            raise CannotScoreError(str(error)) from error
        except (pa.ArrowException, OSError) as error:
            raise CannotScoreError(f"{self.name}: cannot be read: {error}") from error
        found, _, _ = _objects(b"" if block is None else block.content)
        names = dict.fromkeys(name for each in found if each is not None for name in each)
        if not names:
            raise CannotScoreError(
                f"{self.name}: has no line with a JSON object in its first {BLOCK_BYTES} bytes"
            )
        if len(names) > _MAX_FIELDS:
            raise CannotScoreError(f"{self.name}: has more than {_MAX_FIELDS} different fields")
        return tuple(names)

    def _read(self, schema: pa.Schema, content: bytes) -> tuple[pa.RecordBatch, dict[int, str]]:
        objects, lines, errors = _objects(content)
        known = frozenset(self.columns)
        if self._all_fields:
            for index, each in enumerate(objects):
                if each is not None and not known.issuperset(each):
                    later = names_text(name for name in each if name not in known)
                    errors[index] = (
                        f"the row has {later}, which none of the first rows has: choose columns with --keep"
                    )
        texts = _texts(objects, lines, [name for name in schema.names if not self._is_taken(name)])
        columns = [
            self._taken(field, objects, errors) if self._is_taken(field.name) else texts[field.name]
            for field in schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema), errors

    def _is_taken(self, name: str) -> bool:
        """Whether the model takes the column."""
        return name in self._lists or name in self._infos

    def _taken(
        self, field: pa.Field, objects: Sequence[dict[str, Any] | None], errors: dict[int, str]
    ) -> pa.Array:
        values = [None if each is None else each.get(field.name) for each in objects]
        cell = self._lists.get(field.name)
        if cell is not None:
            return lists_column(field.name, cell, values, errors)
        return _numbers_column(field, self._infos[field.name], values, errors)


def _objects(content: bytes) -> tuple[list[dict[str, Any] | None], list[bytes], dict[int, str]]:
    """The object of each line that is not blank, None where there is none; the lines; why there is none."""
    found: list[dict[str, Any] | None] = []
    lines: list[bytes] = []
    errors: dict[int, str] = {}
    for line in content.removeprefix(_BOM).split(b"\n"):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            errors[len(found)] = f"the line is not JSON: {error.msg}"
            value = None
        else:
            if not isinstance(value, dict):
                errors[len(found)] = "the line is no JSON object"
                value = None
            elif (twice := double_name(line, value)) is not None:
                errors[len(found)] = f"the line has {quoted(twice)} twice"
                value = None
        found.append(value)
        lines.append(line)
    return found, lines, errors


def _texts(
    objects: Sequence[dict[str, Any] | None], lines: Sequence[bytes], names: Sequence[str]
) -> dict[str, pa.Array]:
    """The columns with these names as text."""
    found = {}
    by_line: dict[int, LineTexts] = {}
    for name in names:
        values = [None if each is None else each.get(name) for each in objects]
        for index, value in enumerate(values):
            if value is None or isinstance(value, str):
                continue
            if isinstance(value, int):  # also true and false
                values[index] = orjson.dumps(value).decode()
                continue
            if index not in by_line:
                by_line[index] = LineTexts(lines[index])
            values[index] = by_line[index].of(name, value)
        found[name] = pa.array(values, pa.string())
    return found


def _numbers_column(
    field: pa.Field, info: TensorInfo, values: Sequence[Any], errors: dict[int, str]
) -> pa.Array:
    found: list[Any] = [None] * len(values)
    given = [index for index, value in enumerate(values) if value is not None]

    def convert(indices: Sequence[int]) -> None:
        """Where one value is wrong, they are converted one by one."""
        try:
            array = from_scalars([values[index] for index in indices], info)
        except CellError as error:
            if len(indices) > 1:
                for index in indices:
                    convert([index])
            else:
                errors.setdefault(indices[0], f"{place(field.name, word='column')}: {error}")
            return
        wide = array if array.dtype.kind in "Obiu" else array.astype(np.float64)
        for index, value in zip(indices, wide.tolist(), strict=True):
            found[index] = value

    for first in range(0, len(given), _VALUES_AT_ONCE):
        convert(given[first : first + _VALUES_AT_ONCE])
    return pa.array(found, field.type)
