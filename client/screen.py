"""Where the output of the commands goes, decided once by what standard output and standard error are.

The rules:
- Results go to standard output as they come, in the form that fits it; everything else to standard error.
- What the client warns of is a line on standard error.
- The progress bar is on standard error, only if that is a terminal. Where standard output is one too, the
  bar is taken away while a result is printed: both are the same screen.
"""

from __future__ import annotations

import logging
import os
import sys
from enum import Enum, auto
from typing import TYPE_CHECKING, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from tfleet.client import render
from tfleet.client.p2p import log
from tfleet.client.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tfleet.client.result import Outcome


class Form(Enum):
    """What a result looks like."""

    JSON = auto()
    TSV = auto()
    TABLE = auto()


class _Warnings(logging.Handler):
    """Hands on what the client warns of, line by line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


class Screen:
    """Prints outcomes and shows how far the work is. `total` is how many files there are, None where
    unknown.
    """

    def __init__(self, form: Form, *, bar: bool, total: int | None) -> None:
        self._form = form
        self._out = Console(highlight=False)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._shares_terminal = bar and self._out.is_terminal
        self._progress = Progress(
            TextColumn("classifying"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._err,
            transient=True,
            disable=not bar,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=total)
        self._warnings = _Warnings(self.say)

    def __enter__(self) -> Self:
        log.addHandler(self._warnings)
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        log.removeHandler(self._warnings)

    def show(self, outcome: Outcome[str]) -> None:
        """Print what became of one file."""
        if outcome.error is not None:
            self.say(f"{outcome.source}: {outcome.error}", style="red")
        if outcome.error is None or self._form is Form.JSON:
            self._print(outcome)
        self._progress.advance(self._task)

    def say(self, line: str, *, style: str = "") -> None:
        """One line on standard error."""
        self._err.print(Text(printable(line), style=style))

    def _print(self, outcome: Outcome[str]) -> None:
        if self._shares_terminal:
            self._progress.stop()
        if self._form is Form.TABLE:
            self._out.print(render.classification_table(outcome.source, outcome.result()))
        elif self._form is Form.JSON:
            click.echo(render.json_line(outcome))
        else:
            # As bytes: a file name need not be valid text.
            click.echo(os.fsencode(render.tsv_lines(outcome.source, outcome.result())))
        if self._shares_terminal:
            self._progress.start()


def form(*, json: bool) -> Form:
    """The form that fits standard output."""
    if json:
        return Form.JSON
    return Form.TABLE if sys.stdout.isatty() else Form.TSV
