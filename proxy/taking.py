"""Whether a client still takes what was sent to it, however slowly."""

from __future__ import annotations


class Taking:
    """Judges by what is left unsent, on the caller's clock. Nothing taken for `patience_s` is the end."""

    __slots__ = ("_patience_s", "_since_s", "_unsent_bytes")

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._unsent_bytes = 0
        self._since_s = 0.0

    def begin(self, unsent_bytes: int, now_s: float) -> None:
        """From now on there is nothing but this to be taken."""
        self._unsent_bytes, self._since_s = unsent_bytes, now_s

    def goes_on(self, unsent_bytes: int, now_s: float) -> bool:
        """Whether it is worth waiting; never where all of it has been taken."""
        if unsent_bytes < self._unsent_bytes:
            self.begin(unsent_bytes, now_s)
        return unsent_bytes > 0 and now_s - self._since_s < self._patience_s
