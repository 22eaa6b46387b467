"""What files of text have in common: CSV and JSON Lines, read in blocks of whole rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from tfleet.bulk.sources.files import InputDigest, InputFile
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits, slices
from tfleet.bulk.sources.text_blocks import read_blocks

ReadBlock = Callable[[bytes], tuple[pa.RecordBatch, dict[int, str]]]
"""The rows of a block, and why some of them could not be read, by their index."""


class TextFile:
    """A file of text. How many rows it has is known when it has been read."""

    rows: int | None = None

    def __init__(self, file: InputFile, number: int, limits: PieceLimits) -> None:
        self.name = file.name
        self._file = file
        self._number = number
        self._limits = limits

    def digest(self) -> InputDigest:
        """What the manifest says of the file."""
        return self._file.digest()

    def _pieces(
        self, start: InputPlace, first_byte: int, read: ReadBlock, delimiter: str | None = None
    ) -> Iterator[Piece]:
        """The rows from `start` on; those of the file begin at `first_byte`.

        With a delimiter a quoted cell may have line ends, as in CSV.
        """
        begin, row = max(start.offset, first_byte), start.row - start.skip
        most_bytes = self._limits.record_bytes
        try:
            with self._file.open_text() as stream:
                for block in read_blocks(
                    stream, self.name, begin, most_bytes=most_bytes, delimiter=delimiter
                ):
                    batch, errors = read(block.content)
                    end = InputPlace(self._number, row + batch.num_rows, block.end)
                    yield from slices(Piece(batch, row, end, errors), begin, start.row, self._limits.rows)
                    begin, row = block.end, end.row
        except (pa.ArrowException, OSError) as error:
            raise self._file.ended_by(error) from error
