"""Scores images with a session in this process: paths or bytes in, labels out.

Each thread decodes the images of a batch and then runs it. There are more threads than runs at a time, so
that some decode while others run.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from tfleet.bulk.image_content import LOCAL_IMAGES, ImageReader, unreadable
from tfleet.bulk.isolation import note_nulls
from tfleet.bulk.predictions import LabelPredictions
from tfleet.bulk.scorer import ScoredBatch, scattered, without_nan
from tfleet.runtime.cpus import usable_cpus
from tfleet.worker.image.errors import ImageError
from tfleet.worker.image.limits import ImageLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfleet.bulk.model_columns import TakenColumns
    from tfleet.worker.inference.classifier import Classifier, PreparedImage

    Prepare = Callable[[bytes], PreparedImage]

_Found = list[tuple[Sequence[int], pa.RecordBatch]]


class ImageScorer:
    """Scores with an image model that is loaded and warm for batches of `batch_rows`.

    `decoders` is how many batches are decoded while others run; by default as many as there are CPUs.
    `prepare` decodes an image, and raises ImageError and RunFailedError; without it this process does that.
    """

    def __init__(
        self,
        classifier: Classifier,
        columns: TakenColumns,
        *,
        batch_rows: int,
        top: int,
        reader: ImageReader = LOCAL_IMAGES,
        decoders: int | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        self._classifier = classifier
        limits = ImageLimits()
        self._prepare = prepare or (lambda image: classifier.prepare(image, limits))
        self._reader = reader
        self.columns = columns
        (self._column,) = columns.names
        self.predictions = LabelPredictions(classifier.scores, min(top, len(classifier.labels)))
        # Not the sizes that the warm-up has found to be fast: those may be others in the next run.
        self.most_rows = min(batch_rows, classifier.most_images or batch_rows)
        self.concurrency = classifier.concurrent_runs + (decoders or usable_cpus())
        self._runs = threading.Semaphore(classifier.concurrent_runs)

    def __repr__(self) -> str:
        return f"<ImageScorer {self._classifier!r} most_rows={self.most_rows}>"

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        """Score the rows, but those that are `unread`. Raises RunFailedError."""
        errors = dict(unread)
        rows = batch.select([self._column])
        note_nulls(rows, errors)
        prepared: dict[int, PreparedImage] = {}
        for index, value in enumerate(rows.column(0).to_pylist()):
            if index not in errors:
                try:
                    prepared[index] = self._prepare(self._reader.content(value))
                except ImageError as error:
                    errors[index] = str(error)
                except (OSError, ValueError) as error:
                    errors[index] = unreadable(error)
        found: _Found = []
        self._run(list(prepared), prepared, found, errors)
        scored = ScoredBatch(scattered(found, batch.num_rows, self.predictions.schema), errors)
        return without_nan(scored, self.predictions)

    def _run(
        self,
        indices: Sequence[int],
        prepared: Mapping[int, PreparedImage],
        found: _Found,
        errors: dict[int, str],
    ) -> None:
        """Run these images. A model that decodes images itself may reject one: the others run without it."""
        if not indices:
            return
        try:
            with self._runs:
                scores = self._classifier.run([prepared[index] for index in indices])
        except ImageError as error:
            if len(indices) == 1:
                errors[indices[0]] = str(error)
                return
            for index in indices:
                self._run([index], prepared, found, errors)
            return
        columns = self.predictions.of_scores(scores)
        found.append((indices, pa.RecordBatch.from_arrays(columns, schema=self.predictions.schema)))
