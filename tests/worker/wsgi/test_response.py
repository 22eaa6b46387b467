from collections.abc import Iterator
from typing import Any

import pytest

from tfleet.worker.wsgi.response import SLICE_BYTES, WsgiResponse, call

Headers = list[tuple[str, str]]


def answer(
    *pieces: bytes, status: str = "200 OK", headers: Headers | None = None, method: str = "POST"
) -> WsgiResponse:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, headers or [])
        return list(pieces)

    return call(app, {"REQUEST_METHOD": method})


def lines(response: WsgiResponse) -> list[bytes]:
    """Those of the head, without the date."""
    return [line for line in response.head.split(b"\r\n") if line and not line.startswith(b"Date: ")]


def test_the_length_is_that_of_the_body() -> None:
    response = answer(b"ab", b"", b"c", headers=[("X-Worker", "w1"), ("content-length", "99")])
    assert lines(response) == [b"HTTP/1.1 200 OK", b"X-Worker: w1", b"Content-Length: 3", b"Server: tfleet"]
    assert b"".join(response.pieces) == b"abc"


def test_the_connection_header_comes_last() -> None:
    wire = answer(b"abc").on_wire((b"Connection: close",))
    assert wire.endswith(b" GMT\r\nConnection: close\r\n\r\nabc")
    assert answer(b"abc").on_wire(()).endswith(b" GMT\r\n\r\nabc")


def test_a_response_to_head_has_the_bodys_length() -> None:
    said = answer(headers=[("Content-Length", "7")], method="HEAD")
    given = answer(b"abc", method="HEAD")
    assert (b"Content-Length: 7" in lines(said), said.pieces) == (True, ())
    assert (b"Content-Length: 3" in lines(given), given.pieces) == (True, ())


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_has_none(status: str) -> None:
    response = answer(b"abc", status=status, headers=[("Content-Length", "3")])
    assert not any(line.startswith(b"Content-Length") for line in lines(response))
    assert response.pieces == ()


def test_write_output_comes_before_the_returned_body() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"ab")
        return [b"c"]

    assert b"".join(call(app, {"REQUEST_METHOD": "GET"}).pieces) == b"abc"


def test_an_answer_may_start_late_and_is_closed() -> None:
    class Answer:
        closed = False

        def __init__(self, start_response: Any) -> None:
            self._start = start_response

        def __iter__(self) -> Iterator[bytes]:
            self._start("200 OK", [])
            yield b"late"

        def close(self) -> None:
            self.closed = True

    made: list[Answer] = []

    def app(environ: dict[str, Any], start_response: Any) -> Answer:
        made.append(Answer(start_response))
        return made[0]

    assert b"".join(call(app, {"REQUEST_METHOD": "GET"}).pieces) == b"late"
    assert made[0].closed


@pytest.mark.parametrize(
    "headers", [[("A", "b\r\nC: d")], [("A\nB", "c")], [("A", "b\rc")], [("Connection", "close")]]
)
def test_headers_cannot_split_lines_or_set_connection(headers: Headers) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - one kind of error for all that is no answer
        answer(b"", headers=headers)


def test_an_application_that_does_not_start_is_an_error() -> None:
    with pytest.raises(ValueError, match="start_response"):
        call(lambda environ, start_response: [b"abc"], {"REQUEST_METHOD": "GET"})


@pytest.mark.parametrize("piece_bytes", [1000, SLICE_BYTES, 3 * SLICE_BYTES + 1])
def test_slices_have_one_size_whatever_the_pieces(piece_bytes: int) -> None:
    pieces = [bytes([number % 256]) * piece_bytes for number in range(2000 * 1000 // piece_bytes + 1)]
    slices = list(answer(*pieces).slices())
    assert b"".join(slices) == b"".join(pieces)
    assert all(SLICE_BYTES <= len(part) < 2 * SLICE_BYTES for part in slices[:-1])
