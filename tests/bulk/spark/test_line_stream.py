from __future__ import annotations

import pyarrow as pa

from tfleet.bulk.sources.text_blocks import BLOCK_BYTES
from tfleet.bulk.spark.line_stream import LINE, LineStream


def batch(*lines: bytes) -> pa.RecordBatch:
    return pa.record_batch({LINE: pa.array(lines, pa.binary())})


def read(stream: LineStream, size: int = 7) -> bytes:
    return b"".join(iter(lambda: stream.read(size), b""))


def test_lines_become_the_text_that_they_were() -> None:
    sliced = batch(b"no", b"d\xff\r", b"no").slice(1, 1)
    assert read(LineStream([batch(b"a", b"", b"bc"), batch(), sliced]).again()) == b"a\n\nbc\nd\xff\r\n"


def test_the_first_block_is_read_twice() -> None:
    lines = [b"x" * 999] * 3000
    stream = LineStream(batch(*lines[begin : begin + 100]) for begin in range(0, 3000, 100))
    whole = b"".join(line + b"\n" for line in lines)
    assert stream.again().read(BLOCK_BYTES) == whole[:BLOCK_BYTES]
    assert read(stream.again(), 100_000) == whole


def test_a_stream_without_lines_is_false() -> None:
    assert not LineStream([batch()])
    assert LineStream([batch(b"")])
