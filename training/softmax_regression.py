"""Multinomial logistic regression with balanced classes and an L2 penalty, in NumPy.

The weights W[dimensions, classes] and intercepts b[classes] minimize

    sum of s_i * -log softmax(x_i W + b)[y_i] / N  +  l2 / 2 * scale**2 * ||W||**2

where s_i = N / (classes * photographs of the class y_i), so that each class counts alike, and scale**2 is the
mean squared distance of the vectors from their mean, so that an `l2` means the same for vectors of any unit.
scikit-learn's LogisticRegression(C=1 / (N * l2 * scale**2), class_weight="balanced") minimizes the same.

What makes it fast:

- The vectors are centred and turned to their principal axes, which changes neither the minimum nor the
  penalty. With fewer vectors than dimensions that leaves fewer numbers to look for.
- Along these axes the curvature is known well enough to make the problem round: see `_stretch`.
- L-BFGS (Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989) needs two
  products of matrices for a step, and few steps from the weights for a larger `l2`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.floating[Any]]

_PAIRS: Final = 10  # of steps and changes of the gradient that L-BFGS remembers
_MOST_STEPS: Final = 500
_SUFFICIENT: Final = 1e-4  # of the decrease that the slope promises (Armijo's rule)
_MOST_HALVINGS: Final = 20
_SMALLEST_AXIS: Final = 1e-9  # of the largest variance: below it is the rounding of float32
_ROWS: Final = 16_384  # of a product at a time: the scores of all rows would not fit for many classes


@dataclass(frozen=True, slots=True)
class Axes:
    """Vectors turned to their principal axes: rows[N, axes] = (vectors - mean) / scale @ axes.

    `variances[axes]` are the means of the squares of each axis, descending.
    """

    rows: Matrix
    mean: Matrix
    scale: float
    axes: Matrix
    variances: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearHead:
    """weights[dimensions, classes] and intercepts[classes] of vectors as they were given."""

    weights: Matrix
    intercepts: Matrix

    def scores(self, vectors: Numbers) -> Matrix:
        """The logits of vectors[N, dimensions]: float32[N, classes]."""
        found: Matrix = vectors.astype(np.float32, copy=False) @ self.weights + self.intercepts
        return found

    def probabilities(self, vectors: Numbers) -> Matrix:
        """The probabilities of the classes: float32[N, classes], each row sums to 1."""
        return softmax(self.scores(vectors))


def softmax(scores: Matrix) -> Matrix:
    """Each row's exponentials, divided by their sum."""
    found: Matrix = np.exp(scores - scores.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found


def principal_axes(vectors: Numbers) -> Axes:
    """Turn vectors[N, dimensions], N >= 1."""
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = vectors.astype(np.float32) - mean
    scale = float(np.sqrt(np.einsum("nd,nd->", centred, centred, dtype=np.float64) / len(centred))) or 1.0
    centred /= np.float32(scale)
    few = len(centred) < centred.shape[1]
    products = (centred @ centred.T if few else centred.T @ centred).astype(np.float64)
    squares, turned = np.linalg.eigh(products)
    kept = np.flatnonzero(squares > _SMALLEST_AXIS * max(squares[-1], 0))[::-1]
    squares, turned = squares[kept], turned[:, kept]
    # Of few vectors the axes of the vectors follow from those of their products with each other.
    axes = (centred.T @ (turned / np.sqrt(squares))) if few else turned
    axes = axes.astype(np.float32)
    return Axes(centred @ axes, mean, scale, axes, squares / len(centred))


class SoftmaxRegression:
    """Fits rows[N, axes] on principal axes to their classes[N], 0 to `count` - 1.

    `variances` are those of the axes, also where the rows are only some of those that the axes were made
    for. A class without a row may get any score.
    """

    def __init__(
        self, rows: Matrix, variances: npt.NDArray[np.float64], classes: npt.NDArray[np.intp], count: int
    ) -> None:
        self._rows = rows
        self._variances = variances
        self._classes = classes
        self._count = count
        sizes = np.bincount(classes, minlength=count)
        self._shares = (1.0 / (np.count_nonzero(sizes) * sizes[classes])).astype(np.float32)  # their sum is 1
        self._parameters = np.zeros((rows.shape[1] + 1, count), dtype=np.float32)
        self.steps = 0

    def __repr__(self) -> str:
        return f"<SoftmaxRegression rows={self._rows.shape} classes={self._count} steps={self.steps}>"

    def fit(self, l2: float, tolerance: float) -> None:
        """Find the parameters for this penalty, to a `tolerance` of the loss. It begins with those of the
        call before.
        """
        stretch = self._stretch(l2)
        penalty = np.zeros_like(stretch)
        penalty[:-1] = l2

        def loss(parameters: Matrix) -> tuple[float, Matrix]:
            plain = parameters / stretch
            value, slope = self._loss(plain)
            pull = penalty * plain
            return value + 0.5 * float(np.vdot(pull, plain)), (slope + pull) / stretch

        found, steps = minimize(loss, self._parameters * stretch, tolerance)
        self._parameters = found / stretch
        self.steps += steps

    def scores(self, rows: Matrix) -> Matrix:
        """The logits[N, classes] of rows on the same axes."""
        found: Matrix = rows @ self._parameters[:-1] + self._parameters[-1]
        return found

    def head(self, axes: Axes) -> LinearHead:
        """The same for vectors as they were before they were turned to `axes`."""
        weights = (axes.axes @ self._parameters[:-1] / np.float32(axes.scale)).astype(np.float32)
        intercepts = (self._parameters[-1] - axes.mean @ weights).astype(np.float32)
        return LinearHead(weights, intercepts)

    def _stretch(self, l2: float) -> Matrix:
        """How much each parameter is stretched: the root of the curvature along its axis.

        Without it the wide first axes would need steps that are far too small for the many narrow ones. The
        curvature of the softmax is p (1 - p), which is 1 / classes while nothing is known.
        """
        variances = np.append(self._variances, 1.0)
        curvature = variances / self._count + np.append(np.full(len(variances) - 1, l2), 0.0)
        stretch: Matrix = np.sqrt(curvature).astype(np.float32)[:, None]
        return stretch

    def _loss(self, parameters: Matrix) -> tuple[float, Matrix]:
        """The balanced mean of -log p of the right classes, and its gradient."""
        rows = self._rows
        value, slope = 0.0, np.zeros_like(parameters)
        for start in range(0, len(rows), _ROWS):
            piece = rows[start : start + _ROWS]
            classes, shares = self._classes[start : start + _ROWS], self._shares[start : start + _ROWS]
            scores = piece @ parameters[:-1] + parameters[-1]
            scores -= scores.max(axis=1, keepdims=True)
            right = scores[np.arange(len(piece)), classes].copy()
            np.exp(scores, out=scores)
            sums = scores.sum(axis=1)
            value += float(np.dot(shares, np.log(sums) - right))
            scores *= (shares / sums)[:, None]
            scores[np.arange(len(piece)), classes] -= shares
            slope[:-1] += piece.T @ scores
            slope[-1] += scores.sum(axis=0)
        return value, slope


Loss = Callable[[Matrix], tuple[float, Matrix]]


def minimize(loss: Loss, start: Matrix, tolerance: float) -> tuple[Matrix, int]:
    """Where a convex function, of which `loss` gives value and gradient, is smallest, and the steps taken.

    It ends where three steps together have won less than `tolerance` of the value.
    """
    at, (value, slope) = start, loss(start)
    pairs: deque[tuple[Matrix, Matrix, float]] = deque(maxlen=_PAIRS)
    values = deque([value], maxlen=4)
    for step in range(1, _MOST_STEPS + 1):
        direction = -_times_inverse_curvature(slope, pairs)
        descent = _dot(direction, slope)
        if descent >= 0:  # rounding: nothing is left to be won
            return at, step
        moved = _line_search(loss, at, value, direction, descent)
        if moved is None:
            return at, step
        to, value, new_slope = moved
        change, turn = to - at, new_slope - slope
        bend = _dot(change, turn)
        if bend > 0:
            pairs.append((change, turn, bend))
        at, slope = to, new_slope
        values.append(value)
        if len(values) == values.maxlen and values[0] - value <= tolerance * abs(value):
            return at, step
    return at, _MOST_STEPS


def _line_search(
    loss: Loss, at: Matrix, value: float, direction: Matrix, descent: float
) -> tuple[Matrix, float, Matrix] | None:
    """The first of 1, 1/2, 1/4... of the direction that decreases the value enough; None if none does."""
    length = 1.0
    for _ in range(_MOST_HALVINGS):
        to = at + np.float32(length) * direction
        found, slope = loss(to)
        if found <= value + _SUFFICIENT * length * descent:
            return to, found, slope
        length /= 2
    return None


def _times_inverse_curvature(slope: Matrix, pairs: deque[tuple[Matrix, Matrix, float]]) -> Matrix:
    """L-BFGS's two loops."""
    found = slope.copy()
    shares = []
    for change, turn, bend in reversed(pairs):
        share = _dot(change, found) / bend
        shares.append(share)
        found -= np.float32(share) * turn
    if pairs:
        _, turn, bend = pairs[-1]
        found *= np.float32(bend / _dot(turn, turn))
    for (change, turn, bend), share in zip(pairs, reversed(shares), strict=True):
        found += np.float32(share - _dot(turn, found) / bend) * change
    return found


def _dot(one: Matrix, other: Matrix) -> float:
    return float(np.vdot(one, other))
