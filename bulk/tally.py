"""Counts of a run: rows, labels, errors by reason, and how sure the model was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfleet.bulk.row_errors import reason

BINS: Final = 10
"""Of the histogram: the first one is for probabilities below 0.1, the last one for 0.9 and above."""
MOST_REASONS: Final = 50
OTHER_REASONS: Final = "other reasons"


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of some rows. `histogram` is of the best labels' probabilities; empty if there are none."""

    rows: int = 0
    failed: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    histogram: tuple[int, ...] = ()

    @property
    def scored(self) -> int:
        """The rows with a prediction."""
        return self.rows - self.failed

    def __add__(self, other: Tally) -> Tally:
        longest = max(self.histogram, other.histogram, key=len)
        both = (self.histogram or (0,) * len(longest), other.histogram or (0,) * len(longest))
        return Tally(
            self.rows + other.rows,
            self.failed + other.failed,
            dict(Counter(self.labels) + Counter(other.labels)),
            _bounded(Counter(self.reasons) + Counter(other.reasons)),
            tuple(a + b for a, b in zip(*both, strict=True)),
        )

    def document(self) -> dict[str, Any]:
        """As JSON has it; `tally_of` reads it."""
        return {
            "rows": self.rows,
            "scored": self.scored,
            "failed": self.failed,
            "labels": dict(_by_count(self.labels)),
            "errors": dict(_by_count(self.reasons)),
            "confidence": list(self.histogram),
        }


def tally_of(document: Mapping[str, Any]) -> Tally:
    """The tally in a document that `Tally.document` made."""
    return Tally(
        document["rows"],
        document["failed"],
        document["labels"],
        document["errors"],
        tuple(document["confidence"]),
    )


def tally(rows: int, errors: Iterable[str], labels: pa.Array | None, probabilities: pa.Array | None) -> Tally:
    """Count some rows. `labels` and `probabilities` have the best of each row, or lists, the best first."""
    reasons = Counter(reason(text) for text in errors)
    counted: dict[str, int] = {}
    if labels is not None:
        counts = pc.value_counts(_best(labels).drop_null()).to_pylist()
        counted = {each["values"]: each["counts"] for each in counts}
    histogram: tuple[int, ...] = ()
    if probabilities is not None:
        numbers = _best(probabilities).drop_null().to_numpy(zero_copy_only=False)
        found, _ = np.histogram(numbers, bins=BINS, range=(0.0, 1.0))
        histogram = tuple(found.tolist())
    return Tally(rows, reasons.total(), counted, _bounded(reasons), histogram)


def _best(column: pa.Array) -> pa.Array:
    if not pa.types.is_list(column.type):
        return column
    filled = pc.filter(column, pc.greater(pc.list_value_length(column), 0))
    return pc.list_element(filled, 0)


def _bounded(reasons: Counter[str]) -> dict[str, int]:
    """At most MOST_REASONS of them; all others are counted together."""
    if len(reasons) <= MOST_REASONS:
        return dict(reasons)
    kept = dict(
        _by_count({text: n for text, n in reasons.items() if text != OTHER_REASONS})[: MOST_REASONS - 1]
    )
    return kept | {OTHER_REASONS: reasons.total() - sum(kept.values())}


def _by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))
