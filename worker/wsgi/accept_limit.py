"""Whether new connections are taken.

The rules:

- So many are open at the most; who comes beyond waits in the system's own queue until another one has gone.
- Some open files are kept back for all else that a worker needs: the registry, large bodies.
- A listening socket for whose connections there is no open file stays readable for ever. It is left alone for
  a moment, or the loop that asks it would do nothing else.
- Who is kept out comes again and again, so what is said about it is said once a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog

from tfleet.runtime.open_files import raise_open_files_limit

PAUSE_S: Final = 0.1

_MOST: Final = 2000
_FEWEST: Final = 16
# TensorFlow, the registry, standard streams; and bodies: waitress gives each over 512 KiB a file of its own,
# and the default queue takes 64 MiB of them.
_BESIDE: Final = 256
_SAID_EVERY_S: Final = 60.0


def most_connections() -> int:
    """How many connections a worker may have, after raising the limit of open files as far as it may be."""
    wanted = _MOST + _BESIDE
    allowed = raise_open_files_limit(wanted)
    most = max(_FEWEST, allowed - _BESIDE)
    if allowed < wanted:
        structlog.get_logger().warning(
            f"no more than {most} connections: {_MOST} can take {wanted} open files, the limit is {allowed}; "
            "raise it (ulimit -n, LimitNOFILE=)"
        )
    return most


class Door:
    """Open to new connections or not, by how many there are and how the last attempt went."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._shut_until_s = self._silent_until_s = float("-inf")
        self._log: Any = structlog.get_logger()

    def open(self, connections: int) -> bool:
        """Whether one more may come in beside so many."""
        if connections >= self._most:
            self._say(f"all {self._most} connections are in use; new ones wait")
            return False
        return self._clock() >= self._shut_until_s

    def shut(self, error: OSError) -> None:
        """Shut it for a moment: the system could not give the connection that it had announced."""
        self._shut_until_s = self._clock() + PAUSE_S
        self._say(f"new connections wait: {error.strerror}; see ulimit -n or LimitNOFILE=")

    def patience_s(self, longest_s: float) -> float:
        """How long nobody need look whether it is open again, `longest_s` at the most."""
        shut_for_s = self._shut_until_s - self._clock()
        return min(shut_for_s, longest_s) if shut_for_s > 0 else longest_s

    def _say(self, line: str) -> None:
        if self._clock() >= self._silent_until_s:
            self._silent_until_s = self._clock() + _SAID_EVERY_S
            self._log.warning(line)
