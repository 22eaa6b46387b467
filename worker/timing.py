"""How long the stages of one classification took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds: waiting for a thread and for the session, from bytes to pixels, in the session.

    `batch` images were in the session together.
    """

    decode_ms: float
    queue_ms: float
    infer_ms: float
    batch: int

    def header(self) -> str:
        """As the header Server-Timing has it: https://www.w3.org/TR/server-timing/."""
        stages = (("decode", self.decode_ms), ("queue", self.queue_ms), ("infer", self.infer_ms))
        return ", ".join(f"{name};dur={ms:.1f}" for name, ms in stages)
