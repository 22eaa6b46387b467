from __future__ import annotations

import numpy as np
import pyarrow as pa

from tfleet.bulk.predictions import LabelPredictions, OutputPredictions
from tfleet.bulk.row_errors import NO_BEST_LABEL
from tfleet.bulk.scorer import ScoredBatch, without_nan
from tfleet.worker.inference.class_scores import ClassScores

NAN = np.nan
ROWS = np.array([[0.1, 0.9], [NAN, NAN], [0.6, NAN], [0.2, 0.3]], np.float32)


def scored(predictions: LabelPredictions) -> ScoredBatch:
    columns = predictions.columns({"p": ROWS}, len(ROWS))
    batch = pa.RecordBatch.from_arrays(columns, schema=predictions.schema)
    return without_nan(ScoredBatch(batch, {3: "it was wrong before"}), predictions)


def test_a_row_whose_best_score_is_nan_has_no_label() -> None:
    found = scored(LabelPredictions(ClassScores(("cat", "dog"))))
    assert found.predictions["label"].to_pylist() == ["dog", None, "cat", "dog"]
    assert found.predictions["probability"].null_count == 1
    assert found.errors == {1: NO_BEST_LABEL, 3: "it was wrong before"}


def test_it_is_the_first_of_a_list_that_counts() -> None:
    found = scored(LabelPredictions(ClassScores(("cat", "dog"), threshold=0.5), top=2))
    assert found.predictions["labels"].to_pylist() == [["dog"], None, ["cat", "dog"], []]
    assert set(found.errors) == {1, 3}


def test_outputs_that_are_no_labels_may_be_nan() -> None:
    numbers = pa.record_batch({"score": [1.0, NAN]})
    batch = ScoredBatch(numbers, {})
    assert without_nan(batch, OutputPredictions(numbers.schema)) is batch
