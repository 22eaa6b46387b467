from __future__ import annotations

import io

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tfleet.bulk.errors import BrokenInputError
from tfleet.bulk.memory import shares
from tfleet.bulk.sources.source import PieceLimits
from tfleet.bulk.sources.text_blocks import TextBlock, first_record, read_blocks


def blocks(content: bytes, *, start: int = 0, size: int = 8, delimiter: str | None = ",") -> list[TextBlock]:
    return list(
        read_blocks(
            io.BytesIO(content), "f.csv", start, most_bytes=10**6, delimiter=delimiter, block_bytes=size
        )
    )


def test_outside_csv_each_line_end_ends_a_record() -> None:
    assert [each.content for each in blocks(b'{"a": "b\n}', delimiter=None, size=10)] == [b'{"a": "b\n', b"}"]


def test_a_record_longer_than_a_block_is_one_block() -> None:
    assert blocks(b"1\n" + b"2" * 50 + b"\n3\n") == [
        TextBlock(b"1\n", 2),
        TextBlock(b"2" * 50 + b"\n3\n", 55),
    ]


def test_the_last_line_needs_no_end() -> None:
    assert [each.content for each in blocks(b"1\n2\n3\n4\n5", size=4)] == [b"1\n2\n", b"3\n4\n", b"5"]


LINES = st.lists(st.sampled_from([b"1", b"22", b'"3\n3"', b'"4""4"', b"", b"5" * 9]), max_size=30)


@given(LINES, st.integers(2, 20))
def test_reading_from_any_block_gives_the_same_blocks(lines: list[bytes], size: int) -> None:
    content = b"".join(line + b"\n" for line in lines)
    whole = blocks(content, size=size)
    assert b"".join(each.content for each in whole) == content
    for index, block in enumerate(whole):
        assert blocks(content, start=block.end, size=size) == whole[index + 1 :]
        assert block.content.count(b'"') % 2 == 0


def test_a_quote_without_an_end_is_an_error() -> None:
    with pytest.raises(BrokenInputError, match=r"^f\.csv: a quoted value after byte 4 has no end"):
        blocks(b'1\n2\n3,"4\n5\n', size=4)


def test_a_stream_that_cannot_seek_is_read_up_to_the_start() -> None:
    class OneWay(io.BytesIO):
        def seekable(self) -> bool:
            return False

    found = list(read_blocks(OneWay(b"1\n2\n3\n"), "f.csv", 2, most_bytes=10**6, block_bytes=100))
    assert found == [TextBlock(b"2\n3\n", 6)]


@pytest.mark.parametrize(
    ("content", "length"), [(b"a,b\n1,2\n", 4), (b'"a\nb",c\n1\n', 8), (b"a,b", 3), (b"", 0)]
)
def test_the_header_ends_with_its_record(content: bytes, length: int) -> None:
    assert first_record(content, ",") == length


@pytest.mark.parametrize(
    ("delimiter", "reason"), [(",", "a quote may be missing, or --memory is"), (None, "--memory is")]
)
def test_a_row_has_no_more_bytes_than_allowed(delimiter: str | None, reason: str) -> None:
    def read(row_bytes: int) -> list[TextBlock]:
        content = b"1\n" + b"x" * row_bytes + b"\n" + b"2\n" * 100
        return list(
            read_blocks(io.BytesIO(content), "f", 0, most_bytes=100, delimiter=delimiter, block_bytes=10)
        )

    assert b"".join(each.content for each in read(90)).count(b"\n") == 102
    with pytest.raises(
        BrokenInputError, match=f"a row after byte 2 has more than 100 bytes: {reason} too small"
    ):
        read(120)


@pytest.mark.parametrize(
    ("memory_bytes", "most"), [(64_000_000, 2**20), (800_000_000, 6_250_000), (10**12, 64 * 2**20)]
)
def test_a_row_of_text_may_have_a_share_of_the_memory(memory_bytes: int, most: int) -> None:
    assert PieceLimits(1, shares(memory_bytes).piece_bytes).record_bytes == most
