"""The protocol between a worker and its decoders, over a pair of sockets: a header in JSON, and a body.

Bodies are large. They are sent and received in few calls, each with as many bytes as possible: every call
releases the interpreter's lock, and in a busy worker it takes milliseconds to get it back.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

_LENGTHS: Final = struct.Struct("!IQ")
"""The lengths of header and body, in bytes."""
_TIME: Final = struct.Struct("@ll")
"""The system's `struct timeval`."""
_MAX_HEADER_BYTES: Final = 64 * 1024
_SENT_AT_ONCE: Final = 4 * 1024 * 1024
"""The kernel restarts a call's timeout whenever the other side has read something. This bounds one call."""


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """One call of a function in a decoder.

    `name` is the function's; `arguments` can be written as JSON. `memory_bytes` and `cpu_s` are estimates:
    peak memory while it runs, and seconds of one CPU.
    """

    name: str
    arguments: Mapping[str, Any]
    body: bytes
    memory_bytes: int
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DecodeOutcome:
    """What the function returned: a header that describes the body, and the body.

    If it raised an exception, the header is `{"error": CLASS NAME, "message": TEXT}` and the body is empty;
    with `"unexpected": true` unless the function is known to raise it.
    """

    header: Mapping[str, Any]
    body: bytes


Pause = Callable[[], None]
"""Called between two calls of one transfer. It may raise an exception to give up."""


class DecoderProtocolError(Exception):
    """The other side violated the protocol."""


def do_nothing() -> None:
    """The pause of a side that has nothing else to check."""


def set_call_timeout(connection: socket.socket, seconds: float) -> None:
    """Let each send and receive call return after `seconds`, with what it has transferred until then."""
    time = _TIME.pack(int(seconds), int(seconds % 1 * 1_000_000))
    connection.setblocking(True)  # with a timeout Python would poll by itself, and repeat the call
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, time)


def send(
    connection: socket.socket, header: Mapping[str, Any], body: bytes = b"", pause: Pause = do_nothing
) -> None:
    """Send a header and a body. Raises OSError if the other side has ended."""
    packed = json.dumps(header).encode()
    for part in (_LENGTHS.pack(len(packed), len(body)) + packed, body):
        left = memoryview(part)
        while left:
            with suppress(BlockingIOError):  # the timeout passed and nothing was sent
                left = left[connection.send(left[:_SENT_AT_ONCE]) :]
            if left:
                pause()


def receive(
    connection: socket.socket, *, max_bytes: int, pause: Pause = do_nothing
) -> tuple[dict[str, Any], bytes]:
    """Receive the next header and its body.

    Raises EOFError and OSError if the other side has ended, DecoderProtocolError if it sent something else or
    a body of more than `max_bytes`.
    """
    header_bytes, body_bytes = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size, pause))
    # A decoder that a hostile image has taken over could announce anything: nothing is allocated before this.
    if header_bytes > _MAX_HEADER_BYTES or body_bytes > max_bytes:
        raise DecoderProtocolError(
            f"a header of {header_bytes} and a body of {body_bytes} bytes are too large"
        )
    try:
        header = json.loads(_exactly(connection, header_bytes, pause))
    except (ValueError, RecursionError) as error:
        raise DecoderProtocolError("the header is not JSON") from error
    if not isinstance(header, dict):
        raise DecoderProtocolError("the header is not a JSON object")
    return header, _exactly(connection, body_bytes, pause)


def _exactly(connection: socket.socket, count: int, pause: Pause) -> bytes:
    """Receive `count` bytes. They are copied only if they arrive in several parts."""
    parts = []
    while count:
        try:
            part = connection.recv(count, socket.MSG_WAITALL)
        except BlockingIOError:
            pause()  # the timeout passed and nothing arrived
            continue
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
        if count:
            pause()
    return parts[0] if len(parts) == 1 else b"".join(parts)
