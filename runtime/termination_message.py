"""What a child that can never run says before it ends with exit code 2, kept apart from its other lines.

Several children refuse for the same reason: whoever started them tells it once, and not once for each.
"""

from __future__ import annotations

import re
from typing import Final

_REASON: Final = re.compile(r"(?:Error|tfleet \w+): (?P<reason>.+)")
_USAGE: Final = "Usage: "
_MOST_LINES: Final = 8


class TerminationMessage:
    """Takes each line of a child and gives those that are to be shown now.

    Lines that look like a refusal are held; `reason` is the last of them without its prefix. They were no
    refusal where the child goes on to say something else, or ends with another exit code.
    """

    def __init__(self) -> None:
        self._held: list[str] = []

    @property
    def reason(self) -> str:
        """Why the child refused, if it ended now; empty where it gave no reason."""
        last = next((line for line in reversed(self._held) if line.strip()), "")
        match = _REASON.fullmatch(last.strip())
        return match["reason"] if match else ""

    def feed(self, line: str) -> list[str]:
        """The lines to show, now that the child has said this one."""
        begins = line.startswith(_USAGE) or _REASON.fullmatch(line.strip()) is not None
        in_usage = bool(self._held) and self._held[0].startswith(_USAGE) and not self.reason
        goes_on = in_usage or (bool(self._held) and not line.strip())
        if len(self._held) < _MOST_LINES and (goes_on or (begins and not self._held)):
            self._held.append(line)
            return []
        if begins:
            shown, self._held = self._held, [line]
            return shown
        return [*self.end(), line]

    def end(self) -> list[str]:
        """The lines that were held: they were no refusal."""
        held, self._held = self._held, []
        return held
