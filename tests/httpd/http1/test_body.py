import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.httpd.http1.body import Body, BodyTooLargeError, Chunks, Length, ToTheEnd, body_of
from tfleet.httpd.http1.fields import UnreadableError


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The data cut so, over and over."""
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        yield data[at : at + size]
        at += size
        number += 1


def read(body: Body, data: bytes, sizes: list[int]) -> tuple[bytes, int]:
    """What is in the body, and how much of the data is the body's."""
    content, taken = b"", 0
    for piece in pieces(data, sizes):
        if not body.ended:
            found, count = body.feed(piece)
            content += found
            taken += count
    return content, taken


cuts = st.lists(st.integers(1, 20), min_size=1)
chunk = st.tuples(
    st.binary(min_size=1, max_size=40),
    st.sampled_from([b"", b"000"]),
    st.sampled_from([b"", b";a", b' ;a="b;c"', b" "]),
)


def encoded(chunks: list[tuple[bytes, bytes, bytes]]) -> bytes:
    """Content, zeros before its size, and an extension behind it."""
    return b"".join(
        b"%b%x%b\r\n%b\r\n" % (zeros, len(content), end, content) for content, zeros, end in chunks
    )


trailers = st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC:\r\n"])


@given(st.lists(chunk), trailers, st.binary(), cuts)
def test_the_split_of_the_bytes_does_not_matter_for_chunks(
    chunks: list[tuple[bytes, bytes, bytes]], trailer: bytes, behind: bytes, sizes: list[int]
) -> None:
    data = encoded(chunks) + b"0\r\n" + trailer + b"\r\n"
    body = Chunks()
    assert read(body, data + behind, sizes) == (b"".join(content for content, _, _ in chunks), len(data))
    assert body.ended


@given(st.lists(chunk, min_size=1), cuts)
def test_chunks_without_the_last_one_have_not_ended(
    chunks: list[tuple[bytes, bytes, bytes]], sizes: list[int]
) -> None:
    data, body = encoded(chunks), Chunks()
    assert read(body, data, sizes) == (b"".join(content for content, _, _ in chunks), len(data))
    assert not body.ended


@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nabcde\r\n6\r\n", b"a\r\n0123456789\r\n1;a\r\n"])
def test_a_chunk_size_over_the_limit_is_refused(data: bytes) -> None:
    for sizes in ([len(data)], [1], [7]):
        with pytest.raises(BodyTooLargeError):
            read(Chunks(max_bytes=10), data, sizes)
        read(Chunks(max_bytes=11), data, sizes)


@given(st.binary(), cuts)
def test_any_bytes_are_valid_or_invalid_chunks(data: bytes, sizes: list[int]) -> None:
    with contextlib.suppress(UnreadableError):
        assert read(Chunks(), data, sizes)[1] <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        *(b"\r\n", b"z\r\n", b"-1\r\n", b"0x1\r\n", b" 1\r\n", b"1\n", b"1 a\r\n", b"1;\x00\r\n", b";a\r\n"),
        *(b"f" * 16 + b"\r\n", b"1\r\nabc", b"1\r\na\n", b"1\r\na\r\r\n", b"1;" + b"a" * 9000),
        *(b"0\r\nA b\r\n", b"0\r\n A: b\r\n", b"0\r\nA: b\n", b"0\r\n" + b"A: b\r\n" * 3000),
    ],
)
def test_invalid_chunks_are_unreadable(data: bytes) -> None:
    for sizes in ([len(data)], [1]):
        with pytest.raises(UnreadableError):
            read(Chunks(), data, sizes)


@pytest.mark.parametrize(("length", "wanted"), [(0, 0), (1, 1), (9, 9), (10, 10), (11, 10)])
def test_a_body_with_a_length_takes_no_more_than_that(length: int, wanted: int) -> None:
    for sizes in ([10], [1], [3]):
        body = Length(length)
        assert read(body, b"0123456789", sizes) == (b"0123456789"[:wanted], wanted)
        assert body.ended is (length <= 10)


def test_a_body_without_length_lasts_until_the_end() -> None:
    body = ToTheEnd()
    assert read(body, b"0123456789", [3]) == (b"0123456789", 10)
    assert not body.ended


@pytest.mark.parametrize(
    ("chunked", "length_bytes", "kind"), [(False, None, ToTheEnd), (True, None, Chunks), (False, 0, Length)]
)
def test_the_head_decides_the_kind_of_body(chunked: bool, length_bytes: int | None, kind: type[Body]) -> None:
    assert type(body_of(chunked, length_bytes)) is kind
