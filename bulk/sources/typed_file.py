"""What files have in common that say the types of their columns: Parquet and Arrow."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from tfleet.bulk.sources.files import InputDigest, InputFile
from tfleet.bulk.sources.plain import plain
from tfleet.bulk.sources.source import PieceLimits, check_names


class TypedFile:
    """The columns of such a file. `schema` is what it says of them. Raises CannotScoreError."""

    def __init__(self, file: InputFile, number: int, limits: PieceLimits, schema: pa.Schema) -> None:
        self.name = file.name
        self._file = file
        self._number = number
        self._limits = limits
        self._schema = schema
        check_names(self.name, schema.names)

    @property
    def columns(self) -> Sequence[str]:
        """The names of its columns."""
        names: list[str] = self._schema.names
        return names

    def digest(self) -> InputDigest:
        """What the manifest says of the file."""
        return self._file.digest()

    def schema(self, columns: Sequence[str]) -> pa.Schema:
        """The types of these columns, as `plain` makes them."""
        return pa.schema([plain(self._schema.field(name)) for name in columns])
