"""Print the results of the commands: tables for a terminal, tab-separated values or JSON for programs.

The rules:
- Results go to standard output as they arrive, in the format that fits it; everything else goes to standard
  error.
- The client's warnings are lines on standard error.
- The progress bar is on standard error, and only if that is a terminal. If standard output is a terminal as
  well, the bar is removed while a result is printed: both are the same screen.
"""

from __future__ import annotations

import json
import logging
import os
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Self

import click
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tfleet.client.commands.table import Row, TableLayout, render_rows
from tfleet.client.routes.p2p import log
from tfleet.client.text import printable, tsv_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from rich.console import RenderableType

    from tfleet.client.results import Classification, Outcome, Prediction
    from tfleet.client.worker_status import WorkerStatus

_BAR_WIDTH: Final = 20
_STATE_STYLES: Final = {"ready": "green", "starting": "yellow", "draining": "cyan", "ejected": "bold red"}
_STATUS: Final = TableLayout(
    headings=("id", "address", "model", "state", "in flight"),
    note="last error",
    lines=((0, 3, 4), (1, 2)),
    numbers=frozenset({4}),
)


def json_line(outcome: Outcome[str]) -> str:
    """One JSON object for one file, without a line end."""
    document: dict[str, Any] = {"file": outcome.source}
    if outcome.error is not None:
        document |= {
            "error": str(outcome.error),
            "status": outcome.error.status,
            "request_id": outcome.error.request_id,
        }
    else:
        classification = outcome.result()
        document |= {
            "predictions": [{"label": p.label, _number_name(p): p.value} for p in classification.predictions],
            "worker": classification.worker,
            "model": classification.model,
            "request_id": classification.request_id,
            "ms": round(classification.elapsed_ms, 1),
        }
    return json.dumps(document)


def _number_name(prediction: Prediction) -> str:
    return "score" if prediction.probability is None else "probability"


def tsv_lines(file: str, classification: Classification) -> str:
    """One line for each prediction, best first: file, label, probability. Without the last line end."""
    return "\n".join(
        f"{tsv_field(file)}\t{tsv_field(p.label)}\t{p.value:.6f}" for p in classification.predictions
    )


def classification_table(file: str, classification: Classification) -> RenderableType:
    """A table with the file's name, and a bar for each prediction."""
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for prediction in classification.predictions:
        label = Text(printable(prediction.label))
        if prediction.probability is None:  # a score may be any number
            table.add_row(f"{prediction.value:g}", "", label)
            continue
        bar = "█" * round(prediction.probability * _BAR_WIDTH)
        table.add_row(f"{prediction.probability:7.1%}", bar.ljust(_BAR_WIDTH), label)
    heading = Text(printable(file), style="bold")
    heading.append(f"  {classification.elapsed_ms:.0f} ms", style="dim")
    return Group(heading, table)


def status_table(workers: Iterable[WorkerStatus], width: int) -> RenderableType:
    """The proxy's workers for a terminal of `width` columns: one a row, or several lines each."""
    return render_rows(_STATUS, [_status_row(worker) for worker in workers], width)


def _status_row(worker: WorkerStatus) -> Row:
    cells = (
        Text(printable(worker.id)),
        Text(printable(worker.address)),
        Text(printable(worker.model_label)),
        Text(printable(worker.state), style=_STATE_STYLES.get(worker.state, "")),
        Text(str(worker.in_flight)),
    )
    return Row(cells, Text(printable(worker.last_error)))


class OutputFormat(Enum):
    """The format of results."""

    JSON = auto()
    TSV = auto()
    TABLE = auto()


class _Warnings(logging.Handler):
    """Prints the client's warnings, one a line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


class Screen:
    """Prints outcomes and shows the progress. `total` is the number of files; None if unknown."""

    def __init__(self, form: OutputFormat, *, bar: bool, total: int | None) -> None:
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
        """Print the outcome of one file."""
        if outcome.error is not None:
            self.say(f"{outcome.source}: {outcome.error}", style="red")
        if outcome.error is None or self._form is OutputFormat.JSON:
            self._print(outcome)
        self._progress.advance(self._task)

    def say(self, line: str, *, style: str = "") -> None:
        """Print a line on standard error."""
        self._err.print(Text(printable(line), style=style))

    def _print(self, outcome: Outcome[str]) -> None:
        if self._shares_terminal:
            self._progress.stop()
        if self._form is OutputFormat.TABLE:
            self._out.print(classification_table(outcome.source, outcome.result()))
        elif self._form is OutputFormat.JSON:
            click.echo(json_line(outcome))
        else:
            # As bytes: a file name need not be valid UTF-8.
            click.echo(os.fsencode(tsv_lines(outcome.source, outcome.result())))
        if self._shares_terminal:
            self._progress.start()


def output_format(*, json: bool, terminal: bool) -> OutputFormat:
    """JSON if asked for, a table on a `terminal`, otherwise tab-separated lines."""
    if json:
        return OutputFormat.JSON
    return OutputFormat.TABLE if terminal else OutputFormat.TSV
