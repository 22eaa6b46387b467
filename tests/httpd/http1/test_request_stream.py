import pytest

from tfleet.httpd.http1.fields import UnreadableError
from tfleet.httpd.http1.request import read_request_head
from tfleet.httpd.http1.request_stream import RequestStream

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


def test_a_head_is_given_once_it_is_whole() -> None:
    stream = RequestStream()
    for value in GET[:-1]:
        stream.add(bytes([value]))
        assert stream.next_head() is None
    stream.add(GET[-1:])
    head = stream.next_head()
    assert head is not None
    assert (head.method, head.target) == (b"GET", b"/")
    assert stream.unread == b""
    assert stream.body.ended


def test_a_head_is_followed_by_its_body_and_the_next_head() -> None:
    stream = RequestStream()
    stream.add(POST + b"ab")
    assert stream.next_head() is not None
    assert stream.next_piece() == b"ab"
    assert not stream.body.ended
    stream.add(b"cd" + GET)
    assert stream.next_piece() == b"cd"
    assert stream.body.ended
    assert stream.unread == GET
    assert stream.next_head() is not None


def test_cached_heads_equal_parsed_ones() -> None:
    def text(*more: str) -> bytes:
        return "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: a", *more)).encode()

    asked = [text(), text(), text("Accept: b"), text("A: " + "x" * 2000), text("Accept: b"), text()]
    stream = RequestStream()
    stream.add(b"".join(one + b"\r\n" for one in asked))
    assert [stream.next_head() for _ in asked] == [read_request_head(one) for one in asked]
    stream.add(text("Host: b") + b"\r\n")
    with pytest.raises(UnreadableError):
        stream.next_head()


def test_the_same_head_is_read_once() -> None:
    stream = RequestStream()
    stream.add(GET * 2)
    assert stream.next_head() is stream.next_head()


def test_a_large_head_is_not_kept() -> None:
    stream = RequestStream()
    stream.add((GET[:-2] + b"X: " + b"a" * 2000 + b"\r\n\r\n") * 2)
    assert stream.next_head() is not stream.next_head()


def test_empty_lines_before_a_head_are_passed_over() -> None:
    stream = RequestStream()
    stream.add(b"\r\n\r\n" + GET)
    assert stream.next_head() is not None


def test_more_empty_lines_are_refused() -> None:
    stream = RequestStream()
    stream.add(b"\r\n" * 5 + GET)
    with pytest.raises(UnreadableError, match="empty lines"):
        stream.next_head()


def test_an_invalid_head_is_refused_before_its_end() -> None:
    stream = RequestStream()
    stream.add(b"GET / HTTP/1.1\nHo")
    with pytest.raises(UnreadableError, match="without CR"):
        stream.next_head()


def test_give_up_discards_what_was_received() -> None:
    stream = RequestStream()
    stream.add(POST + b"ab")
    stream.next_head()
    stream.give_up()
    assert stream.unread == b""
    assert stream.body.ended
