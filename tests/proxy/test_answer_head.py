import pytest

from tfleet.discovery.contract import MOST_HEAD_BYTES
from tfleet.proxy.answer_head import AnswerHead, UnreadableError, check_beginning, read_head

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (OK, AnswerHead(200)),
        (b"HTTP/1.0 200\r\n", AnswerHead(200)),
        (OK + b"Content-Length: 0\r\n", AnswerHead(200, length_bytes=0)),
        (OK + b"A: b\r\ncontent-length:\t7 \t\r\nC: d\r\n", AnswerHead(200, length_bytes=7)),
        (OK + b"TRANSFER-ENCODING: Chunked\r\n", AnswerHead(200, chunked=True)),
        (OK + b"X-Content-Length: 7\r\nA: Content-Length: 8\r\n", AnswerHead(200)),
        (OK + b"A:\r\nB: \xe9\t!\r\n", AnswerHead(200)),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n", AnswerHead(204, length_bytes=0)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n", AnswerHead(304, length_bytes=0)),
    ],
)
def test_a_head_says_where_its_answer_ends(head: bytes, wanted: AnswerHead) -> None:
    assert read_head(head) == wanted


@pytest.mark.parametrize(("status", "final"), [(100, False), (103, False), (200, True), (503, True)])
def test_only_from_200_on_it_is_the_answer(status: int, final: bool) -> None:
    assert read_head(b"HTTP/1.1 %d X\r\n" % status).final is final


def test_a_head_may_be_as_large_as_the_limit_and_no_larger() -> None:
    filler = MOST_HEAD_BYTES - len(OK + b"A: \r\n")
    assert read_head(OK + b"A: " + b"x" * filler + b"\r\n") == AnswerHead(200)
    with pytest.raises(UnreadableError, match=str(MOST_HEAD_BYTES)):
        read_head(OK + b"A: " + b"x" * (filler + 1) + b"\r\n")


@pytest.mark.parametrize("length", range(len(OK) + 1))
def test_the_beginning_of_a_head_is_waited_on(length: int) -> None:
    check_beginning(bytearray(OK[:length]), 0)


@pytest.mark.parametrize(
    ("beginning", "seen"), [(b"X", 0), (b"HTTP/2", 5), (b"HTTP/1.1 200 OK\n", 15), (OK + b"\n", len(OK))]
)
def test_what_can_t_become_a_head_is_not_waited_on(beginning: bytes, seen: int) -> None:
    with pytest.raises(UnreadableError):
        check_beginning(bytearray(beginning), seen)
