"""What is asked of a client's connection by whoever answers on it."""

from __future__ import annotations

from typing import Protocol


class Client(Protocol):
    """The client's connection. `full` is that it takes nothing of the answer for now."""

    full: bool

    @property
    def peer(self) -> str | None:
        """The client's IP address."""

    @property
    def staying(self) -> bool:
        """Whether the connection may go on after this answer, as far as the proxy is concerned."""

    def send(self, data: bytes) -> None: ...

    def unsent_bytes(self) -> int: ...

    def hold_back(self) -> None:
        """Take nothing of its body for now."""

    def go_on(self) -> None:
        """Take more again."""

    def look_at(self, when_s: float) -> None:
        """Have `look` called at that time of the loop's clock, and at none that was asked for before."""

    def answered(self, *, keep: bool) -> None:
        """The answer is complete. Not to `keep` the connection ends it when what was sent is taken."""

    def break_off(self) -> None:
        """End it hard: half an answer must not look like a whole one."""
