"""How much a row's answer takes, which a signature does not say of outputs with dimensions of any size."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from tfleet.bulk.batches import row_sizes
from tfleet.bulk.sources.source import InputPlace

if TYPE_CHECKING:
    from tfleet.bulk.run import Rows
    from tfleet.bulk.scorer import Scorer

_PROBE_ROWS: Final = 8


def answer_bytes(rows: Rows, scorer: Scorer) -> int:
    """The bytes of the largest answer to the first rows, whatever the selection is; 0 for a best label.

    They are those of the input's begin even where a run goes on, so that it has the same parts. Raises
    RunFailedError.
    """
    if scorer.predictions.label is not None:
        return 0
    found = chain.from_iterable(
        islice(source.pieces(InputPlace(number), rows.read), 1) for number, source in enumerate(rows.sources)
    )
    first = next((piece for piece in found if piece.batch.num_rows), None)
    if first is None:
        return 0
    count = min(_PROBE_ROWS, scorer.most_rows)
    unread = {row: text for row, text in first.errors.items() if row < count}
    answer = scorer.score(first.batch.slice(0, count), unread)
    return int(row_sizes(answer.predictions).max(initial=0))
