import socket
import threading
from collections.abc import Iterator

import pytest

from tfleet.worker.decoders.messages import DecoderProtocolError, receive, send, set_call_timeout

Pair = tuple[socket.socket, socket.socket]


class GivenUpError(Exception):
    """Raised by a pause."""


def give_up() -> None:
    raise GivenUpError


@pytest.fixture
def pair() -> Iterator[Pair]:
    """One whose calls are short, as the worker's, and one whose calls wait."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        set_call_timeout(ours, 0.05)
        yield ours, theirs


@pytest.mark.parametrize("size", [0, 1, 30_000_000])
def test_a_header_and_a_body_come_as_they_were_sent(pair: Pair, size: int) -> None:
    ours, theirs = pair
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sender = threading.Thread(target=lambda: send(ours, {"a": [1, "ü"]}, body))
    sender.start()
    came = receive(theirs, max_bytes=size)
    sender.join()
    assert came == ({"a": [1, "ü"]}, body)


def test_a_split_message_is_reassembled(pair: Pair) -> None:
    ours, theirs = pair
    pieces = iter([b"\0\0\0\2\0\0\0\0\0\0\0\3{", b"}ab", b"c"])

    def next_piece() -> None:
        theirs.sendall(next(pieces))

    assert receive(ours, max_bytes=3, pause=next_piece) == ({}, b"abc")


def test_waiting_for_a_header_can_be_cancelled(pair: Pair) -> None:
    with pytest.raises(GivenUpError):
        receive(pair[0], max_bytes=1, pause=give_up)


def test_sending_to_a_blocked_reader_can_be_cancelled(pair: Pair) -> None:
    with pytest.raises(GivenUpError):
        send(pair[0], {}, bytes(10_000_000), give_up)


@pytest.mark.parametrize("sent", [b"", b"\0\0\0", b"\0\0\0\2\0\0\0\0\0\0\0\3{}a"])
def test_a_message_that_ends_early_means_the_end(pair: Pair, sent: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        receive(ours, max_bytes=10)


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\1\0\1\0\0\0\0\0\0\0\0",  # a header over the bound
        b"\0\0\0\2\0\0\0\0\0\0\0\4{}abcd",  # a body over it
        b"\0\0\0\2\xff\xff\xff\xff\xff\xff\xff\xff{}",
        b"\0\0\0\2\0\0\0\0\0\0\0\0{x",
        b"\0\0\0\2\0\0\0\0\0\0\0\0[]",
        b"\0\0\0\2\0\0\0\0\0\0\0\0\xff\xff",
        b"\0\0\x9c\x40\0\0\0\0\0\0\0\0" + b"[" * 40_000,
        b"HTTP/1.1 200 OK",
    ],
)
def test_an_invalid_message_is_an_error(pair: Pair, sent: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(sent)
    with pytest.raises(DecoderProtocolError):
        receive(ours, max_bytes=3)
