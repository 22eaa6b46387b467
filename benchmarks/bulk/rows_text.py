"""What the page says of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.bulk.program import MEMORY_MB
from benchmarks.bulk.rows import FORMS, MORE, ROW_BY_ROW, RowFigures, RowRound, Turn
from benchmarks.bulk.text import bar_lines, paragraph, spread_text
from benchmarks.report.bar import Bar
from benchmarks.report.spread import Spread

OVER_KERAS: Final = 0.9
"""Of Keras' `predict`, with reading and writing."""
FLAT: Final = 1.1
"""Of the most memory in the first half of a run, in its second half."""


def rows_text(figures: RowFigures) -> list[str]:
    """The section."""
    return [
        *paragraph(
            f"{figures.rows:,} rows of ten binary columns; a network of 64 and 32 units with one",
            "probability. Keras' `predict` has batches of 4,096 and reads the same file with pyarrow,",
            "whole, as it does not stream. Both write Parquet. A ratio is taken within a round; shown are",
            "the middle and, in brackets, the least and the most of all rounds. Starting Python, importing",
            "TensorFlow and loading the model are only in the seconds of the whole command.",
            *figures.around.sentences(),
        ),
        "",
        "![rows a second, and memory over time](bulk-rows.png)",
        "",
        *bar_lines(_bars(figures)),
        "",
        "| | CSV | Parquet |",
        "|---|---|---|",
        _row(figures, "`tfleet score`, rows/s", lambda one: one.ours.per_second, 0),
        _row(figures, "Keras `predict`, rows/s", lambda one: one.keras.per_second, 0),
        _row(figures, "`tfleet score`, s of CPU", lambda one: one.ours.cpu_s, 1),
        _row(figures, "Keras `predict`, s of CPU", lambda one: one.keras.cpu_s, 1),
        _row(figures, "`tfleet score`, s of the whole command", lambda one: one.ours.process.seconds, 1),
        _row(figures, "Keras `predict`, s of the program", lambda one: one.keras.process.seconds, 1),
        _row(figures, "`tfleet score`, most memory, MB", lambda one: _mb(one.ours), 0),
        _row(figures, "Keras `predict`, most memory, MB", lambda one: _mb(one.keras), 0),
        "",
        *paragraph(
            f"Row by row, one call of `predict` for each, Keras does {figures.row_by_row.per_second:,.0f}",
            f"rows/s: measured with {ROW_BY_ROW} rows, without reading. No prediction of `tfleet score`",
            f"differs from Keras' by more than {figures.difference:.1g}.",
        ),
        "",
        *_memory(figures),
    ]


def _bars(figures: RowFigures) -> list[Bar]:
    bars = []
    for form in FORMS:
        bars.append(Bar(f"rows/s of {form}, against Keras", OVER_KERAS, None, figures.ratio(form)))
    for form in FORMS:
        most = figures.most_mb(form)
        bars.append(Bar(f"most memory, {form}", None, MEMORY_MB, Spread.of([most]), " MB"))
        first, second = figures.more[form].halves_mb
        what = f"memory in the second half of {MORE} files, against the first, {form}"
        bars.append(Bar(what, None, FLAT, Spread.of([second / first])))
    return bars


def _memory(figures: RowFigures) -> list[str]:
    lines = [
        *paragraph(
            f"Memory does not grow with the rows: the same file {MORE} times, as {MORE} files. It is the",
            "resident memory of the process with Python, TensorFlow and the model, looked at ten times a",
            "second.",
        ),
        "",
        "| | rows | rows/s | most MB, first half | second half |",
        "|---|---|---|---|---|",
    ]
    for form in FORMS:
        more = figures.more[form]
        first, second = more.halves_mb
        rows = more.summary["rows"]
        lines.append(f"| {form} | {rows:,} | {more.per_second:,.0f} | {first:,.0f} | {second:,.0f} |")
    return lines


def _row(figures: RowFigures, name: str, figure: Callable[[RowRound], float], digits: int) -> str:
    cells = (spread_text(map(figure, figures.rounds[form]), digits) for form in FORMS)
    return f"| {name} | {' | '.join(cells)} |"


def _mb(turn: Turn) -> float:
    return turn.process.most_bytes / 1e6
