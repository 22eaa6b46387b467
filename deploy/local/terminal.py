"""The one place that writes to the terminal of `tfleet up`: lines of its processes, and about them."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TextIO

import structlog

from tfleet.runtime.child_process import ExitStatus
from tfleet.runtime.log import LogLevel
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
        """One line of the process called `name`. Control characters in it are escaped."""
        _write(self.err, f"{name:{self.width}} | {printable(line, keep=_TAB)}\n")

    def show(self, text: str) -> None:
        """Text to paste, as it is."""
        _write(self.out, f"{text}\n")


@dataclass(frozen=True, slots=True)
class ProcessMessages:
    """A line for each of the ProcessEvents of the process called `name`."""

    name: str
    console: Console

    def started(self, pid: int) -> None:
        self.console.say(f"{self.name} started (process {pid})")

    def not_started(self, reason: str) -> None:
        self.console.say(f"{self.name} could not be started: {reason}")

    def output(self, line: str) -> None:
        self.console.relay(self.name, line)

    def ended(self, status: ExitStatus | None, restart_in_s: float) -> None:
        how = f"ended ({status})" if status else "did not start"
        self.console.say(f"{self.name} {how}: starting it again in {restart_in_s:.1f} s")

    def overdue(self, timeout_s: float) -> None:
        self.console.say(f"{self.name} did not end within {timeout_s:g} s of SIGTERM: killed")


class _ConsoleLog:
    """A logger of structlog that says each line on a console."""

    def __init__(self, console: Console) -> None:
        self.debug = self.info = self.warning = self.error = console.say


def log_to(console: Console, level: LogLevel) -> None:
    """Send this process's own log events from `level` up to the console, each as one line."""
    structlog.configure(
        processors=[_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _ConsoleLog(console),
    )


def _line(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    text = str(event.pop("event"))
    return " ".join((text, *(f"{name}={value}" for name, value in event.items())))


def _write(stream: TextIO, text: str) -> None:
    # The reader is gone, as in `tfleet up | head`, or the terminal, or the disk is full: a fleet that serves
    # goes on, and one that stops stops in order.
    with suppress(OSError):
        stream.write(text)
        stream.flush()


_FIRST_S = 5.0
_SHORTEST_S = 0.25


class Progress:
    """Says that something changed, and ever less often that nothing did: after 5, 10, 20, 40 ... seconds."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.ready = 0
        self._next_s = _FIRST_S

    @property
    def complete(self) -> bool:
        """Whether all workers were ready at once."""
        return self.ready >= self.wanted

    def news(self, ready: int, elapsed_s: float) -> bool:
        """Whether to say now that `ready` workers are ready, `elapsed_s` seconds after the start."""
        changed, self.ready = ready != self.ready, ready
        due = elapsed_s >= self._next_s
        while elapsed_s >= self._next_s:
            self._next_s *= 2
        return changed or due

    @staticmethod
    def pause_s(elapsed_s: float) -> float:
        """Seconds until the next look: news is never late by more than a tenth of the time it took."""
        return max(_SHORTEST_S, elapsed_s / 10)
