"""Images by their paths: a row for each file. The images themselves are read when they are scored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.files import InputDigest, InputFile
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits
from tfleet.bulk.sources.storage import said

PATH: Final = "path"


class ImageFilesSource:
    """Images that follow each other among the inputs."""

    columns: Sequence[str] = (PATH,)

    def __init__(self, files: Sequence[InputFile], number: int, limits: PieceLimits) -> None:
        self.name = files[0].name
        signed = next((each for each in files if each.path != each.name), None)
        if signed is not None:
            raise CannotScoreError(
                f"{signed.name}: has a query, which the output would show: download it first"
            )
        self.rows: int | None = len(files)
        self._files = files
        self._number = number
        self._limits = limits

    def __repr__(self) -> str:
        return f"<ImageFilesSource {len(self._files)} images>"

    def schema(self, columns: Sequence[str]) -> pa.Schema:
        """The paths are text."""
        return pa.schema([(name, pa.string()) for name in columns])

    def pieces(self, start: InputPlace, columns: Sequence[str]) -> Iterator[Piece]:
        """The paths from `start` on."""
        schema = self.schema(columns)
        for first in range(start.row, len(self._files), self._limits.rows):
            some = self._files[first : first + self._limits.rows]
            paths = pa.array([each.path for each in some], pa.string())
            batch = pa.RecordBatch.from_arrays([paths] * len(schema), schema=schema)
            yield Piece(batch, first, InputPlace(self._number, first + len(some)))

    def digest(self) -> InputDigest:
        """A digest of their names, sizes and times: that of their content would read each image twice."""
        whole, size = hashlib.sha256(), 0
        for file in self._files:
            try:
                file_size, mark = file.size_and_mark()
            except OSError as error:
                raise CannotScoreError(f"{file.name}: cannot be read: {said(error)}") from error
            whole.update(f"{file.name}\0{file_size}\0{mark}\0".encode(errors="surrogateescape"))
            size += file_size
        return InputDigest(f"{len(self._files)} images from {self.name}", size, whole.hexdigest())
