"""What a decoder is asked, and what it answers.

What a worker and its decoder tell each other over a pair of sockets: a header in JSON, and bytes.

Both bodies are large. They go in few calls, each of which takes as much as it can: every call gives up the
interpreter's lock, and in a worker at work it takes milliseconds to get that back.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """One call of a function in a decoder.

    `name` is the function's, `arguments` are what JSON can say. `memory_bytes` and `cpu_s` are estimates of
    what it takes: bytes while it runs, and seconds of one CPU.
    """

    name: str
    arguments: Mapping[str, Any]
    body: bytes
    memory_bytes: int
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DecodeOutcome:
    """What the function gave: `header` is what it says of the body.

    Or, where it raised an exception, `{"error": NAME OF ITS CLASS, "message": TEXT}` and no body;
    with `"unexpected": true` unless it is one that the function is known to raise.
    """

    header: Mapping[str, Any]
    body: bytes


_LENGTHS: Final = struct.Struct("!IQ")
"""Bytes of the header, bytes of the body."""
_TIME: Final = struct.Struct("@ll")
"""The system's `struct timeval`."""
_MOST_HEADER_BYTES: Final = 64 * 1024
_SENT_AT_ONCE: Final = 4 * 1024 * 1024
"""The time that one call may take counts anew whenever the other side has read something."""

Pause = Callable[[], None]
"""Called whenever a call has ended and not all has gone or come. It may raise to give up."""


class DecoderProtocolError(Exception):
    """The other side did not keep to the protocol."""


def no_pause() -> None:
    """For a side that has nothing else to look after."""


def limit_calls(connection: socket.socket, seconds: float) -> None:
    """From now on a call ends after so long, with what it has sent or read until then."""
    time = _TIME.pack(int(seconds), int(seconds % 1 * 1_000_000))
    connection.setblocking(True)  # else Python would wait by itself, and longer
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, time)


def send(
    connection: socket.socket, header: Mapping[str, Any], body: bytes = b"", pause: Pause = no_pause
) -> None:
    """Send all of it. Raises OSError where the other side has ended."""
    packed = json.dumps(header).encode()
    for part in (_LENGTHS.pack(len(packed), len(body)) + packed, body):
        left = memoryview(part)
        while left:
            with suppress(BlockingIOError):  # it took nothing for now
                left = left[connection.send(left[:_SENT_AT_ONCE]) :]
            if left:
                pause()


def receive(
    connection: socket.socket, *, most_bytes: int, pause: Pause = no_pause
) -> tuple[dict[str, Any], bytes]:
    """The next header and its body.

    Raises EOFError and OSError where the other side has ended, WireError where it sent something else, or a
    body of more than `most_bytes`.
    """
    header_bytes, body_bytes = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size, pause))
    if header_bytes > _MOST_HEADER_BYTES or body_bytes > most_bytes:
        raise DecoderProtocolError(f"{header_bytes} and {body_bytes} bytes are more than may come")
    try:
        header = json.loads(_exactly(connection, header_bytes, pause))
    except (ValueError, RecursionError) as error:
        raise DecoderProtocolError("the header is not JSON") from error
    if not isinstance(header, dict):
        raise DecoderProtocolError("the header is no object")
    return header, _exactly(connection, body_bytes, pause)


def _exactly(connection: socket.socket, count: int, pause: Pause) -> bytes:
    """So many bytes. They are copied only if they come in several parts."""
    parts = []
    while count:
        try:
            part = connection.recv(count, socket.MSG_WAITALL)
        except BlockingIOError:
            pause()  # nothing has come for now
            continue
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
        if count:
            pause()
    return parts[0] if len(parts) == 1 else b"".join(parts)
