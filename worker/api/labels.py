"""Answers with labels: the predictions of one row or of several, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson

if TYPE_CHECKING:
    from tfleet.worker.inference.class_scores import ClassScores

_PLACES = 6


def number(score: float, *, probability: bool) -> float:
    """A score as answers have it: a probability in six places, any other with the digits of a float32."""
    return round(score, _PLACES) if probability else float(str(np.float32(score)))


def named(ranking: Sequence[tuple[str, float]], *, probability: bool) -> list[dict[str, Any]]:
    """Labels and their scores as objects. What is no probability is called `score`."""
    name = "probability" if probability else "score"
    return [{"label": label, name: number(score, probability=probability)} for label, score in ranking]


def label_rows(output: npt.NDArray[Any], scores: ClassScores, top: int, *, one_row: bool) -> bytes:
    """The document `{"success": true, "predictions": ...}` for rows of numbers, one for each class.

    The predictions are a list for one row, and a list of lists for several.
    """
    rows = scores(output)
    # All rows at once, by the rules of ClassScores.top: row by row, 65,536 of them take five seconds.
    best = np.argsort(-rows, axis=1, kind="stable")[:, :top]
    values = np.take_along_axis(rows, best, axis=1)
    lowest = -np.inf if scores.threshold is None else scores.threshold
    counts = (~(values < lowest)).sum(axis=1).tolist()
    labels, name = scores.labels, "probability" if scores.probabilities else "score"
    predictions = [
        [{"label": labels[index], name: value} for index, value in zip(indices, numbers, strict=True)][:count]
        for indices, numbers, count in zip(
            best.tolist(), _numbers(values, probability=scores.probabilities), counts, strict=True
        )
    ]
    document = {"success": True, "predictions": predictions[0] if one_row else predictions}
    if np.isfinite(values).all():
        return orjson.dumps(document) + b"\n"
    # orjson would write null; NaN and the infinities are words, as in all other answers.
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _numbers(values: npt.NDArray[np.float32], *, probability: bool) -> list[list[float]]:
    """As `number`, for many."""
    if probability:
        rounded: list[list[float]] = np.round(values.astype(np.float64), _PLACES).tolist()
        return rounded
    if not np.isfinite(values).all():
        return [[number(value, probability=False) for value in row] for row in values.tolist()]
    # Written with a float32's digits and read again: faster than one by one.
    written = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    shortest: list[list[float]] = orjson.loads(written)
    return shortest
