import pytest

from tfleet.contract.names import MAX_HEAD_BYTES
from tfleet.httpd.http1.fields import UnreadableError
from tfleet.httpd.http1.response import ResponseHead, check_response, read_response_head

OK = b"HTTP/1.1 200 OK\r\n"


def framing(head: ResponseHead) -> tuple[int, bool, int | None, bool]:
    return head.status, head.chunked, head.length_bytes, head.keep_alive


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (OK, (200, False, None, True)),
        (b"HTTP/1.0 200\r\n", (200, False, None, False)),
        (b"HTTP/1.0 200\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n", (200, False, 1, True)),
        (OK + b"Connection: x, Close\r\n", (200, False, None, False)),
        (OK + b"Content-Length: 0\r\n", (200, False, 0, True)),
        (OK + b"A: b\r\ncontent-length:\t7 \t\r\nC: d\r\n", (200, False, 7, True)),
        (OK + b"TRANSFER-ENCODING: Chunked\r\n", (200, True, None, True)),
        (OK + b"X-Content-Length: 7\r\nA: Content-Length: 8\r\n", (200, False, None, True)),
        (OK + b"A:\r\nB: \xe9\t!\r\n", (200, False, None, True)),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n", (204, False, 0, True)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n", (304, False, 0, True)),
    ],
)
def test_a_head_says_where_answer_and_connection_end(
    head: bytes, wanted: tuple[int, bool, int | None, bool]
) -> None:
    assert framing(read_response_head(head)) == wanted


def test_a_head_has_the_worker_and_its_queue() -> None:
    head = read_response_head(b"HTTP/1.1 200 All right\r\nx-worker: w1\r\nX-QUEUE-LENGTH: 3\r\nA: b\r\n")
    assert (head.reason, head.worker, head.queue_length, head.fields.lines) == (
        b"All right",
        b"w1",
        b"3",
        [b"A: b"],
    )
    plain = read_response_head(OK)
    assert (plain.worker, plain.queue_length) == (None, None)


@pytest.mark.parametrize(("status", "final"), [(100, False), (103, False), (200, True), (503, True)])
def test_statuses_below_200_are_interim_responses(status: int, final: bool) -> None:
    assert read_response_head(b"HTTP/1.1 %d X\r\n" % status).final is final


def test_a_head_may_be_as_large_as_the_limit_and_no_larger() -> None:
    line = b"A: " + b"x" * 1000 + b"\r\n"
    lines = OK + line * ((MAX_HEAD_BYTES - len(OK)) // len(line))
    rest = MAX_HEAD_BYTES - len(lines) - len(b"A: \r\n")
    assert read_response_head(lines + b"A: " + b"x" * rest + b"\r\n").status == 200
    with pytest.raises(UnreadableError, match=str(MAX_HEAD_BYTES)):
        read_response_head(lines + b"A: " + b"x" * (rest + 1) + b"\r\n")


@pytest.mark.parametrize("length", range(len(OK) + 1))
def test_an_incomplete_head_is_awaited(length: int) -> None:
    check_response(OK[:length], 0)


@pytest.mark.parametrize(
    ("beginning", "seen"), [(b"X", 0), (b"HTTP/2", 5), (b"HTTP/1.1 200 OK\n", 15), (OK + b"\n", len(OK))]
)
def test_an_impossible_head_is_refused_at_once(beginning: bytes, seen: int) -> None:
    with pytest.raises(UnreadableError):
        check_response(beginning, seen)
