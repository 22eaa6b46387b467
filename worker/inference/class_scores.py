"""From the rows that an image model's graph gives to the numbers and labels of an answer. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.facts import Source

if TYPE_CHECKING:
    from tfleet.worker.model.facts import ModelFacts
    from tfleet.worker.model.spec import Activation, ModelSpec

_TWO_LABELS: Final = 2
# float16 has ten bits behind the first one; a sum of 1,000 numbers is off by more than each.
_SUM_TOLERANCE: Final = 0.01


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Turns rows into scores: `applied` is what the worker does to them.

    `two_of_one` makes p, the probability of the second of two classes, into 1 - p and p. Without
    `probabilities` the scores may be any numbers. Scores below the `threshold` are left out of answers.
    """

    labels: tuple[str, ...] = field(repr=False)
    applied: Activation = "none"
    two_of_one: bool = False
    probabilities: bool = True
    threshold: float | None = None

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The scores of each row: float32 [rows, labels]."""
        scores = rows.astype(np.float32, copy=False)
        if self.applied == "softmax":
            scores = _softmax(scores)
        elif self.applied == "sigmoid":
            scores = _sigmoid(scores)
        return np.concatenate([1 - scores, scores], axis=1) if self.two_of_one else scores

    def top(self, scores: npt.NDArray[np.float32], n: int) -> tuple[tuple[str, float], ...]:
        """The `n` best labels of one row with their scores, best first; all if there are fewer."""
        # Stable, so that equal scores keep the order of the labels.
        best = np.argsort(-scores, kind="stable")[: max(n, 0)]
        ranked = ((self.labels[index], float(scores[index])) for index in best)
        lowest = -np.inf if self.threshold is None else self.threshold
        # Not `>=`, which would leave out what is no number, and nobody would see that.
        return tuple((label, score) for label, score in ranked if not score < lowest)


def class_scores(
    spec: ModelSpec, facts: ModelFacts, classes: int, labels: tuple[str, ...], *, sum_to_one: bool
) -> ClassScores:
    """The scores of a model whose graph gives `classes` numbers for an image.

    `labels` are those that are stated or found; there may be none. `sum_to_one` says that the rows are
    probabilities, though the graph ends in no softmax. Raises `ModelError` if one number that is no
    probability has two labels.
    """
    activation = facts.activation
    known: Activation = "none" if activation is None else activation.value
    applied = known if activation is not None and activation.source is not Source.MODEL else "none"
    if classes == 1 and len(labels) == _TWO_LABELS and known != "sigmoid":
        where = spec.setting("output.activation", "--activation")
        raise ModelError(
            f"{spec.origin}: gives one number, which is no sigmoid, for two labels: set {where} to sigmoid "
            "if it is a logit, or give one label"
        )
    two_of_one = classes == 1 and known == "sigmoid" and len(labels) in {0, _TWO_LABELS}
    numbers = tuple(str(number) for number in range(_TWO_LABELS if two_of_one else classes))
    return ClassScores(
        labels or numbers, applied, two_of_one, known != "none" or sum_to_one, spec.output.threshold
    )


def are_probabilities(rows: npt.NDArray[Any]) -> bool:
    """Whether each row has several numbers from 0 to 1 that sum to 1."""
    scores = rows.astype(np.float64)
    if scores.ndim != 2 or scores.shape[1] < _TWO_LABELS:  # noqa: PLR2004 - [rows, classes]
        return False
    sums = np.abs(scores.sum(axis=1) - 1)
    return bool(
        (scores >= 0).all() and (scores <= 1 + _SUM_TOLERANCE).all() and (sums < _SUM_TOLERANCE).all()
    )


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # Without the subtraction large logits would overflow float32.
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # By the hyperbolic tangent, which does not overflow for large negative numbers.
    probabilities: npt.NDArray[np.float32] = (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)
    return probabilities
