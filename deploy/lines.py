"""Whole lines out of what a pipe gives in pieces."""

from __future__ import annotations


class Lines:
    """Collects bytes and gives them back as lines of text, without their ends.

    Text is UTF-8, with U+FFFD for what is not. A line longer than `limit` bytes comes in pieces, so that a
    child which never ends a line costs no more memory than that.
    """

    def __init__(self, limit: int = 16 * 1024) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [piece for line in whole for piece in self._pieces(line)]
        if len(self._rest) > self._limit:
            *full, self._rest = self._cut(self._rest)
            lines.extend(map(_text, full))
        return lines

    def end(self) -> list[str]:
        """What is left when the pipe has ended: a last line without an end, or nothing."""
        rest, self._rest = self._rest, b""
        return self._pieces(rest) if rest else []

    def _pieces(self, line: bytes) -> list[str]:
        return [_text(piece) for piece in self._cut(line)]

    def _cut(self, line: bytes) -> list[bytes]:
        return [line[at : at + self._limit] for at in range(0, len(line), self._limit)] or [b""]


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
