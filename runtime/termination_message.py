"""The termination message: the error that a child prints before it exits with code 2, kept apart from its
other lines.

Several children may fail for the same reason; the parent reports it once.
"""

from __future__ import annotations

import re
from typing import Final

_REASON: Final = re.compile(r"(?:Error|tfleet \w+): (?P<reason>.+)")
_USAGE: Final = "Usage: "
_MAX_LINES: Final = 8


class TerminationMessage:
    """Takes each line of a child's output and returns those to print now.

    Lines that look like a final error are held back; `reason` is the last of them without its prefix. If
    the child prints something else afterwards, or ends with another exit code, they were ordinary output.
    """

    def __init__(self) -> None:
        self._held: list[str] = []

    @property
    def reason(self) -> str:
        """The child's final error if it ended now; empty if it gave none."""
        last = next((line for line in reversed(self._held) if line.strip()), "")
        match = _REASON.fullmatch(last.strip())
        return match["reason"] if match else ""

    def feed(self, line: str) -> list[str]:
        """Take a line; return the lines to print now."""
        begins = line.startswith(_USAGE) or _REASON.fullmatch(line.strip()) is not None
        in_usage = bool(self._held) and self._held[0].startswith(_USAGE) and not self.reason
        # click prints usage lines before the error, and blank lines may follow it: both belong to the
        # message.
        goes_on = in_usage or (bool(self._held) and not line.strip())
        if len(self._held) < _MAX_LINES and (goes_on or (begins and not self._held)):
            self._held.append(line)
            return []
        if begins:
            shown, self._held = self._held, [line]
            return shown
        return [*self.end(), line]

    def end(self) -> list[str]:
        """Return the lines held back: they were ordinary output."""
        held, self._held = self._held, []
        return held
