"""CSV files with a header line, read in blocks of whole rows.

CSV has no types. The columns that the model takes have those of its inputs; all others are text, as they are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.csv_cells import CsvCells
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits, check_names
from tfleet.bulk.sources.text_blocks import BLOCK_BYTES, first_record, read_up_to
from tfleet.bulk.sources.text_file import TextFile
from tfleet.worker.model.signature import TensorInfo

_BOM: Final = b"\xef\xbb\xbf"


class CsvSource(TextFile):
    """One CSV file. `infos` has the inputs of the model by the names of columns."""

    def __init__(
        self,
        file: InputFile,
        number: int,
        limits: PieceLimits,
        infos: Mapping[str, TensorInfo],
        *,
        delimiter: str | None = None,
    ) -> None:
        super().__init__(file, number, limits)
        self._infos = infos
        self._delimiter = delimiter or ("\t" if ".tsv" in file.endings else ",")
        self.columns, self._begin = self._header()

    def __repr__(self) -> str:
        return f"<CsvSource {self.name}>"

    def schema(self, columns: Sequence[str]) -> pa.Schema:
        """The types of these columns."""
        return self._cells(columns).schema

    def pieces(self, start: InputPlace, columns: Sequence[str]) -> Iterator[Piece]:
        """The rows from `start` on."""
        return self._pieces(start, self._begin, self._cells(columns).read, self._delimiter)

    def _cells(self, columns: Sequence[str]) -> CsvCells:
        return CsvCells(self.columns, self._infos, columns, self._delimiter)

    def _header(self) -> tuple[Sequence[str], int]:
        """The names of the columns, and where the rows begin. Raises CannotScoreError."""
        try:
            with self._file.open_text() as stream:
                content = read_up_to(stream, BLOCK_BYTES)
        except (pa.ArrowException, OSError) as error:
            raise CannotScoreError(f"{self.name}: cannot be read: {error}") from error
        begin = len(_BOM) if content.startswith(_BOM) else 0
        end = begin + first_record(content[begin:], self._delimiter)
        try:
            text = content[begin:end].decode()
        except UnicodeDecodeError as error:
            raise CannotScoreError(f"{self.name}: is not UTF-8: convert it first") from error
        try:
            names = next(csv.reader([text], delimiter=self._delimiter, strict=False), [])
        except csv.Error as error:
            if "\r" in text.rstrip("\r\n"):
                raise CannotScoreError(
                    f"{self.name}: its header line has a carriage return: end lines with \\n or \\r\\n"
                ) from error
            raise CannotScoreError(f"{self.name}: has no header line that is CSV: {error}") from error
        if not names:
            raise CannotScoreError(f"{self.name}: has no header line with the names of its columns")
        check_names(self.name, names)
        return tuple(names), end
