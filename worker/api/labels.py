"""Answers with labels: the predictions of one row or of several, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

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
    rows = [named(scores.top(row, top), probability=scores.probabilities) for row in scores(output)]
    # NaN is written as a word, as in all other answers.
    return json.dumps({"success": True, "predictions": rows[0] if one_row else rows}).encode() + b"\n"
