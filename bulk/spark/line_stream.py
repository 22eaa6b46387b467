"""The lines that Spark has read, as the text file that they were. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.text_blocks import BLOCK_BYTES

LINE: Final = "value"
"""The column with the lines, without their ends."""


@dataclass(frozen=True, slots=True, eq=False)
class LinesFile(InputFile):
    """A file of which only its lines are here."""

    _: KW_ONLY
    lines: LineStream

    def open_text(self) -> Any:
        """The lines from the first one on."""
        return self.lines.again()


class LineStream:
    """Lines as a stream of bytes. It can be begun again as long as no more than a block was read."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._chunks = (_content(batch.column(LINE)) for batch in batches if batch.num_rows)
        self._head = b""
        for chunk in self._chunks:
            self._head += chunk
            if len(self._head) >= BLOCK_BYTES:
                break
        self._left: Iterator[bytes] = iter(())
        self._chunk = memoryview(b"")

    def __repr__(self) -> str:
        return f"<LineStream {self._head[:40]!r}>"

    def __bool__(self) -> bool:
        """Whether there is a line."""
        return bool(self._head)

    def again(self) -> LineStream:
        """The stream at its begin."""
        self._chunk = memoryview(self._head)
        self._left = self._chunks
        return self

    def seekable(self) -> bool:
        return False

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer; none at the end."""
        while not self._chunk:
            following = next(self._left, None)
            if following is None:
                return b""
            self._chunk = memoryview(following)
        found, self._chunk = bytes(self._chunk[:size]), self._chunk[size:]
        return found

    def __enter__(self) -> LineStream:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""


def _content(lines: pa.Array) -> bytes:
    ended = pc.binary_join_element_wise(lines, pa.scalar(b"", lines.type), pa.scalar(b"\n", lines.type))
    _, offsets, content = ended.buffers()
    begin, end = np.frombuffer(offsets, np.int32)[[ended.offset, ended.offset + len(ended)]]
    found: bytes = content.slice(int(begin), int(end - begin)).to_pybytes()
    return found
