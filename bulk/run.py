"""A run: parts are read, scored and written, each of them while the others go on.

One thread reads the next part, the scorer's threads score this one, and one thread writes the one before.
Parts are written in their order, so those that are there after a kill are the first ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tfleet.bulk.batches import batch_ends, row_sizes
from tfleet.bulk.errors import BrokenInputError
from tfleet.bulk.parts import Part, PartLimits, parts
from tfleet.bulk.prefetch import Prefetch
from tfleet.bulk.row_errors import ERROR_COLUMN
from tfleet.bulk.sources.source import InputPlace, Piece
from tfleet.bulk.tally import Tally, tally

if TYPE_CHECKING:
    from tfleet.bulk.manifest import RunPlan
    from tfleet.bulk.output import OutputFolder, WrittenPart
    from tfleet.bulk.predictions import PredictionColumns
    from tfleet.bulk.scorer import ScoredBatch, Scorer
    from tfleet.bulk.selection import Selection
    from tfleet.bulk.sources.source import RowSource

_MOST_PARTS: Final = 8  # the parts that together take all of what is for rows, as MemoryShares has it

Report = Callable[[InputPlace, Tally], None]
"""Called with the place up to which the output is written, and with the counts so far."""

CheckInputs = Callable[[InputPlace, InputPlace], None]
"""Raises InputChangedError if the input between two places is not what it was before the run."""


@dataclass(frozen=True, slots=True)
class RowLimits:
    """What a batch and a part may have. `tensor_bytes` are what a row takes in the model's tensors."""

    part_rows: int
    part_bytes: int
    batch_bytes: int
    tensor_bytes: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a run: its sources, the columns to `read`, those of them to `keep`, and which rows."""

    sources: Sequence[RowSource] = field(repr=False)
    read: tuple[str, ...]
    keep: tuple[str, ...]
    selection: Selection

    def pieces(self, start: InputPlace, taken: int) -> Iterator[Piece]:
        """The pieces from `start` on, with the rows that are wanted. `taken` is how many rows came before."""
        sources = list(enumerate(self.sources))[start.file :]
        begins = (start if number == start.file else InputPlace(number) for number, _ in sources)
        found = (source.pieces(begin, self.read) for (_, source), begin in zip(sources, begins, strict=True))
        return self.selection.pieces(chain.from_iterable(found), taken)


class Run:
    """Scores all rows and writes them, after those that are there already."""

    def __init__(
        self,
        rows: Rows,
        scorer: Scorer,
        folder: OutputFolder,
        plan: RunPlan,
        limits: RowLimits,
        check_inputs: CheckInputs,
    ) -> None:
        self._rows = rows
        self._scorer = scorer
        self._folder = folder
        self._plan = plan
        self._limits = limits
        self._check_inputs = check_inputs

    def __repr__(self) -> str:
        return f"<Run {self._folder!r} {self._scorer!r}>"

    def __call__(self, written: Sequence[WrittenPart], report: Report) -> Tally:
        """Go on behind the parts that are `written`, and finish the manifest. Raises RunFailedError."""
        done = list(written)
        total = sum((part.tally for part in done), Tally())
        start = done[-1].end if done else InputPlace()
        report(start, total)
        with (
            closing(Prefetch(self._parts(start, total.rows, len(done)))) as ahead,
            ThreadPoolExecutor(self._scorer.concurrency, "score") as pool,
            ThreadPoolExecutor(1, "write") as writer,
        ):
            writing: Future[WrittenPart] | None = None
            for part in ahead:
                table, counts = self._scored(part, pool)
                self._check_inputs(part.start, part.end)
                if writing is not None:
                    total = _note(writing, done, total, report)
                place = (part.start, part.end)
                writing = writer.submit(self._folder.write, self._plan, part.index, table, place, counts)
                # Arrow keeps what was freed for a while: as much again as the rows, where a machine is busy.
                pa.default_memory_pool().release_unused()
            if writing is not None:
                total = _note(writing, done, total, report)
        self._folder.finish(self._plan, done, total)
        return total

    def _parts(self, start: InputPlace, taken: int, first: int) -> Iterator[Part]:
        """The parts from `start` on; one without rows for an output that would have none: it has columns."""
        limits = PartLimits(self._limits.part_rows, self._limits.part_bytes, self._limits.tensor_bytes)
        index = first
        for part in parts(self._rows.pieces(start, taken), start, limits, first):
            yield part
            index = part.index + 1
        if not index:
            schema = self._rows.sources[0].schema(self._rows.read)
            nothing = pa.RecordBatch.from_arrays([pa.array([], each.type) for each in schema], schema=schema)
            yield Part(0, start, start, nothing)

    def _scored(self, part: Part, pool: ThreadPoolExecutor) -> tuple[pa.Table, Tally]:
        """The part's rows with their predictions, and how they went."""
        batch, scorer = part.batch, self._scorer
        sizes = row_sizes(batch, self._limits.tensor_bytes)
        ends = batch_ends(sizes, most_rows=scorer.most_rows, most_bytes=self._limits.batch_bytes)

        def score(begin_end: tuple[int, int]) -> tuple[int, ScoredBatch]:
            begin, end = begin_end
            unread = {row - begin: text for row, text in part.unread.items() if begin <= row < end}
            return begin, scorer.score(batch.slice(begin, end - begin), unread)

        errors: dict[int, str] = {}
        predictions, held_bytes = [], 0
        for begin, found in pool.map(score, ends):
            predictions.append(found.predictions)
            held_bytes += found.predictions.nbytes
            if held_bytes > _MOST_PARTS * self._limits.part_bytes:
                raise self._too_large(batch.num_rows)
            errors.update((begin + row, text) for row, text in found.errors.items())
        schema = scorer.predictions.schema
        predicted = pa.Table.from_batches(predictions, schema).combine_chunks()
        counts = _tally(predicted, errors, scorer.predictions)
        return _joined(batch, self._rows.keep, predicted, errors), counts

    def _too_large(self, rows: int) -> BrokenInputError:
        """What the first rows' answers took says nothing of those that come later."""
        most_bytes = _MOST_PARTS * self._limits.part_bytes
        return BrokenInputError(
            f"the answers to some of {rows} rows take more than {most_bytes} bytes, an eighth of --memory, "
            "and those to the first rows took less: begin again in another folder with --part-rows "
            f"{max(rows // _MOST_PARTS, 1)}, or with more --memory"
        )


def _note(writing: Future[WrittenPart], done: list[WrittenPart], total: Tally, report: Report) -> Tally:
    """The counts with those of the part that is being written. Raises RunFailedError."""
    part = writing.result()
    done.append(part)
    total += part.tally
    report(part.end, total)
    return total


def _tally(predicted: pa.Table, errors: Mapping[int, str], predictions: PredictionColumns) -> Tally:
    best = [
        None if name is None else predicted.column(name).combine_chunks()
        for name in (predictions.label, predictions.probability)
    ]
    return tally(predicted.num_rows, errors.values(), *best)


def _joined(
    batch: pa.RecordBatch, keep: Sequence[str], predicted: pa.Table, errors: Mapping[int, str]
) -> pa.Table:
    """The columns to keep, the predictions, and the errors."""
    texts: list[str | None] = [None] * batch.num_rows
    for row, text in errors.items():
        texts[row] = text
    columns = {name: batch.column(name) for name in keep}
    columns |= dict(zip(predicted.schema.names, predicted.columns, strict=True))
    return pa.table(columns | {ERROR_COLUMN: pa.array(texts, pa.string())})
