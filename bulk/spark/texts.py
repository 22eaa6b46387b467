"""Text cells that Spark has read from CSV as what the model takes, by the rules of `tfleet score`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
from pyarrow import csv

from tfleet.bulk.sources.csv_cells import CsvCells
from tfleet.worker.model.signature import TensorInfo

# So that no line is empty, which would be no row.
_FIRST: Final = "\0"


class TextColumns:
    """Parses these columns of a batch, whose texts belong to these inputs of the model."""

    def __init__(self, infos: Mapping[str, TensorInfo]) -> None:
        self._names = list(infos)
        self._cells = CsvCells([_FIRST, *self._names], infos, self._names, ",")

    def __repr__(self) -> str:
        return f"<TextColumns {self._cells!r}>"

    @property
    def schema(self) -> pa.Schema:
        """The columns with their types."""
        return self._cells.schema

    def parsed(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[int, str]]:
        """The batch with its columns parsed, and why some rows could not be."""
        # Through CSV once more, as its parser is the one in C++ that knows the rules.
        first = pa.repeat(pa.scalar("-"), batch.num_rows)
        texts = {_FIRST: first, **{name: batch.column(name) for name in self._names}}
        content = pa.BufferOutputStream()
        csv.write_csv(pa.record_batch(texts), content, csv.WriteOptions(include_header=False))
        found, errors = self._cells.read(content.getvalue().to_pybytes())
        columns = {name: batch.column(name) for name in batch.schema.names}
        columns |= {name: found.column(name) for name in self._names}
        return pa.record_batch(columns), errors
