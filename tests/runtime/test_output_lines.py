from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.runtime.child_process import OutputLines


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], []),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"on", b"e\r\nt", b"wo"], ["one", "two"]),
        ([b"\n\n"], ["", ""]),
        ([b"\xff\n"], ["�"]),
        (["né\n".encode()[:2], "né\n".encode()[2:]], ["né"]),
        ([b"123456789\n"], ["1234", "5678", "9"]),
        ([b"123", b"4567", b"89"], ["1234", "5678", "9"]),
    ],
)
def test_lines_come_whole_however_the_pipe_cuts_them(pieces: list[bytes], expected: list[str]) -> None:
    lines = OutputLines(limit=4)
    assert [line for piece in pieces for line in lines.feed(piece)] + lines.end() == expected


def test_a_line_without_an_end_comes_in_pieces() -> None:
    lines = OutputLines(limit=4)
    assert lines.feed(b"x" * 9) == ["xxxx", "xxxx"]
    assert lines.end() == ["x"]
    assert lines.end() == []


@given(st.lists(st.binary(max_size=12)), st.integers(1, 8))
def test_nothing_is_lost(pieces: list[bytes], limit: int) -> None:
    pieces = [bytes(byte % 128 for byte in piece if byte % 128 != 13) for piece in pieces]
    lines = OutputLines(limit)
    came = [line for piece in pieces for line in lines.feed(piece)] + lines.end()
    assert "".join(came) == b"".join(pieces).decode().replace("\n", "")
    assert all(len(line) <= limit for line in came)
