"""How many pixels all threads together may have decoded at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class PixelBudget:
    """Lets threads hold pixels up to a total, and waits beyond it; one alone may hold any number."""

    def __init__(self) -> None:
        self._held = 0
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        return f"<PixelBudget held={self._held}>"

    @contextlib.contextmanager
    def hold(self, pixels: int, total: int) -> Iterator[None]:
        """Hold so many pixels inside the block, with all others at most `total`. Not to be nested."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= total)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()
