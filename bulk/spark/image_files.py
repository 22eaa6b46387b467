"""Images that a column names as Spark does: `file:/a b` by binaryFile, `file:///a%20b` by input_file_name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import pyarrow as pa

from tfleet.bulk.predictions import PredictionColumns
from tfleet.bulk.scorer import ScoredBatch, Scorer

_HADOOP: Final = re.compile(r"file:(?=/(?!/))")
_URI: Final = re.compile(r"file://(?=/)")


class NamedImages:
    """Gives a scorer of images the paths that its column has as URIs."""

    def __init__(self, scorer: Scorer, column: str) -> None:
        self._scorer = scorer
        self._column = column
        self.most_rows = scorer.most_rows
        self.concurrency = scorer.concurrency

    def __repr__(self) -> str:
        return f"<NamedImages {self._scorer!r}>"

    @property
    def predictions(self) -> PredictionColumns:
        """Those of the scorer."""
        return self._scorer.predictions

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        """Score the rows, but those that are `unread`. Raises RunFailedError."""
        images = batch.column(self._column)
        if pa.types.is_string(images.type) or pa.types.is_large_string(images.type):
            names = [None if name is None else local_name(name) for name in images.to_pylist()]
            images = pa.array(names, pa.string())
        return self._scorer.score(pa.record_batch({self._column: images}), unread)


def local_name(name: str) -> str:
    """The path of a file of this machine; any other name as it is."""
    if found := _URI.match(name):
        return unquote(name[found.end() :])
    found = _HADOOP.match(name)
    return name if found is None else name[found.end() :]
