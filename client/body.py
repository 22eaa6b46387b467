"""The body of a request: its type and its bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

_PIECE_BYTES: Final = 256 * 1024


class SentBody(Protocol):
    """What a request sends, as often as it has to be sent."""

    @property
    def content_type(self) -> str:
        """Its media type."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def payload(self, progress: Callable[[], None]) -> bytes | AsyncGenerator[bytes, None]:
        """The bytes, from the start. `progress` is called for each piece that is sent."""


@dataclass(frozen=True, slots=True)
class HeldBody:
    """A body in memory."""

    content_type: str
    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self.content)

    def payload(self, progress: Callable[[], None]) -> bytes | AsyncGenerator[bytes, None]:
        """The bytes; those of a large body in pieces."""
        return self.content if self.size <= _PIECE_BYTES else pieces(self.content, progress)


async def pieces(content: bytes, progress: Callable[[], None]) -> AsyncGenerator[bytes, None]:
    """The bytes in pieces. A single large one would show no progress until it is sent whole, and aiohttp
    warns.
    """
    for start in range(0, len(content), _PIECE_BYTES):
        progress()
        yield content[start : start + _PIECE_BYTES]
