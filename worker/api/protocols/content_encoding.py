"""Inflate what a client has compressed: piece by piece, and never beyond the limit of a body."""

from __future__ import annotations

import zlib
from typing import Final

from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, too_large, wrong_media_type

_NONE: Final = ("", "identity")
# zlib's codes for the window: "deflate" is a zlib stream (RFC 9110 section 8.4.1.2).
_WINDOW: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_PIECE_BYTES: Final = 2**20
_MOST_STREAMS: Final = 16
"""Each stream of a gzip body costs a copy of what follows it, and a stream of nothing has 20 bytes."""
_MAX_CHARS: Final = 40


def inflated(body: bytes, encoding: str | None, limits: InputLimits) -> bytes:
    """The body as it was before its Content-Encoding: gzip, deflate or none.

    Raises ProblemError: 400 for a body that is not compressed so, or that ends early, 413 for one that
    becomes larger than a body may be, 415 for another encoding; and what `limits.reserve` raises.
    """
    name = (encoding or "").strip().lower()
    if name in _NONE:
        return body
    window = _WINDOW.get(name)
    if window is None:
        raise wrong_media_type(
            f"Content-Encoding: {name[:_MAX_CHARS]!r} is not supported: send gzip, deflate or no compression"
        )
    limits.check_body(len(body))
    try:
        return _inflated(body, window, name, limits)
    except zlib.error as error:
        raise bad_input(f"the body is not {name}, as its Content-Encoding says: {error}") from error


def _inflated(body: bytes, window: int, name: str, limits: InputLimits) -> bytes:
    pieces, size = [], 0
    rest, streams = body, 0
    while rest:
        streams += 1
        if streams > _MOST_STREAMS:
            raise bad_input(f"the {name} body has more than {_MOST_STREAMS} streams: compress it in one")
        stream = zlib.decompressobj(window)
        while not stream.eof:
            piece = stream.decompress(rest, _PIECE_BYTES)
            rest = stream.unconsumed_tail
            if not piece and not stream.eof and not rest:
                raise bad_input(f"the {name} body ends early: send all of it")
            limits.reserve(len(piece))
            size += len(piece)
            if size > limits.body_bytes:
                raise too_large(
                    f"the {name} body becomes larger than the {limits.body_bytes} bytes allowed: send "
                    "fewer rows at once"
                )
            pieces.append(piece)
        # A gzip file may have several members, each of which is a stream.
        rest = stream.unused_data if window == _WINDOW["gzip"] else b""
    return b"".join(pieces)
