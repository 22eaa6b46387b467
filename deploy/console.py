"""The one place that writes to the terminal of `tfleet up`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TextIO

from tfleet.runtime.printable import printable

SELF: Final = "up"

_TAB: Final = "\t"


@dataclass(frozen=True, slots=True)
class Console:
    """Lines of many processes on one terminal, each whole and with its process's name in front.

    `err` gets everything that happens, `out` only what is to be pasted. `width` aligns the names.
    """

    out: TextIO
    err: TextIO
    width: int = len(SELF)

    def say(self, text: str) -> None:
        """One line of `tfleet up` itself."""
        self.relay(SELF, text)

    def relay(self, name: str, line: str) -> None:
        """One line of the process called `name`. What it quotes of strangers can't move the cursor."""
        _write(self.err, f"{name:{self.width}} | {printable(line, keep=_TAB)}\n")

    def show(self, text: str) -> None:
        """Text to paste, as it is."""
        _write(self.out, f"{text}\n")


def _write(stream: TextIO, text: str) -> None:
    # The reader is gone, as in `tfleet up | head`, or the terminal, or the disk is full: a fleet that serves
    # goes on, and one that stops stops in order.
    with suppress(OSError):
        stream.write(text)
        stream.flush()
