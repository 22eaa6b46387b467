"""The names of the machine that this runs on."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable


class Machine:
    """Knows its short name at once, and the full one when the resolver has said it, maybe seconds later."""

    def __init__(
        self, short: Callable[[], str] = socket.gethostname, full: Callable[[], str] = socket.getfqdn
    ) -> None:
        self._short = short().lower()
        self._full = self._short
        self._look_up = full
        if "." not in self._short:
            threading.Thread(target=self._look, name="machine-name", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Machine {self._full}>"

    @property
    def names(self) -> frozenset[str]:
        """In small letters."""
        return frozenset({self._short, self._full})

    def _look(self) -> None:
        found = self._look_up().lower().rstrip(".")
        # What is another name altogether is whatever DNS says of the address, which may be a provider's.
        if found.startswith(f"{self._short}."):
            self._full = found


@functools.cache
def machine() -> Machine:
    """This one; its full name is looked up from the first call on, once."""
    return Machine()
