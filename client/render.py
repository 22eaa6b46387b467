"""How outcomes look: a table for people, tab-separated values or JSON for programs. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tfleet.client.printable import printable, tsv_field
from tfleet.client.rows import Form, Row, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from tfleet.client.result import Classification, Outcome
    from tfleet.client.worker_status import WorkerStatus

_BAR_WIDTH: Final = 20
_STATE_STYLES: Final = {"ready": "green", "starting": "yellow", "draining": "cyan", "ejected": "bold red"}
_STATUS: Final = Form(
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
            "predictions": [
                {"label": p.label, "probability": p.probability} for p in classification.predictions
            ],
            "worker": classification.worker,
            "model": classification.model,
            "request_id": classification.request_id,
            "ms": round(classification.elapsed_ms, 1),
        }
    return json.dumps(document)


def tsv_lines(file: str, classification: Classification) -> str:
    """One line for each prediction, best first: file, label, probability. Without the last line end."""
    return "\n".join(
        f"{tsv_field(file)}\t{tsv_field(p.label)}\t{p.probability:.6f}" for p in classification.predictions
    )


def classification_table(file: str, classification: Classification) -> RenderableType:
    """The file's name, and its predictions with a bar each."""
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for prediction in classification.predictions:
        bar = "█" * round(prediction.probability * _BAR_WIDTH)
        label = Text(printable(prediction.label))
        table.add_row(f"{prediction.probability:7.1%}", bar.ljust(_BAR_WIDTH), label)
    heading = Text(printable(file), style="bold")
    heading.append(f"  {classification.elapsed_ms:.0f} ms", style="dim")
    return Group(heading, table)


def status_table(workers: Iterable[WorkerStatus], width: int) -> RenderableType:
    """The proxy's workers, for a terminal of so many columns: one a row, or some lines each."""
    return shown(_STATUS, [_status_row(worker) for worker in workers], width)


def _status_row(worker: WorkerStatus) -> Row:
    cells = (
        Text(printable(worker.id)),
        Text(printable(worker.address)),
        Text(printable(worker.model_label)),
        Text(printable(worker.state), style=_STATE_STYLES.get(worker.state, "")),
        Text(str(worker.in_flight)),
    )
    return Row(cells, Text(printable(worker.last_error)))


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
