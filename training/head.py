"""The head of a retrained model: its penalty is chosen on the photographs that validate.

From the strongest penalty on, each weaker one begins where the one before has ended. The search ends when two
were no better on validation: all that follow would fit the training closer still. Then the head is
trained with the photographs of both parts, since a class of three can't spare one. The test has no say in
any of this. Where there is much to compute (20,000 photographs of 1,000 classes take a second for a step),
every second penalty is tried, and one that is no better ends the search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.training.mislabels import FoldFit
from tfleet.training.results import Split
from tfleet.training.softmax_regression import (
    Axes,
    LinearHead,
    Matrix,
    SoftmaxRegression,
    principal_axes,
    softmax,
)

PENALTIES: Final = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
"""The values of l2 that are tried, strongest first."""
_DEFAULT_PENALTY: Final = 1e-3
"""Where nothing validates."""
_MUCH: Final = 2e9  # products of a step for rows, axes and classes: about 0.1 s of a CPU
_WORSE_IN_A_ROW: Final = 2
_WORTH: Final = 0.01
"""How much smaller the loss has to be for a weaker penalty. Where no class is mistaken for another one, each
weaker one has a smaller loss, and the head would be ever surer, also of what it has never seen."""
_FOLDS: Final = 5
_FOLDS_OF_MUCH: Final = 3
_SEARCH_TOLERANCE: Final = 1e-3
_FOLD_TOLERANCE: Final = 1e-3
_TOLERANCE: Final = 1e-5
_LEAST_PROBABILITY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A head, the penalty that was chosen for it, and the steps that all of it took."""

    head: LinearHead
    l2: float
    steps: int


@dataclass(frozen=True, slots=True)
class StartHead:
    """A head to train further together with the network. `penalty` / 2 times the sum of the squares of its
    weights is a part of its loss.
    """

    head: LinearHead
    penalty: float


class HeadTrainer:
    """Trains heads for vectors[photos, dimensions] of classes[photos], 0 to `count` - 1."""

    def __init__(self, vectors: npt.NDArray[Any], classes: npt.NDArray[np.intp], count: int) -> None:
        self._axes: Axes = principal_axes(vectors)
        self._classes = classes
        self._count = count

    def __repr__(self) -> str:
        return f"<HeadTrainer photos={len(self._classes)} classes={self._count}>"

    @property
    def _is_much(self) -> bool:
        return self._axes.rows.size * self._count > _MUCH

    @property
    def folds(self) -> int:
        """How many parts the photographs are judged in, see `mislabels`."""
        return _FOLDS_OF_MUCH if self._is_much else _FOLDS

    def train(
        self, splits: Sequence[Split], report: Callable[[int, int], None] = lambda _done, _total: None
    ) -> TrainedHead:
        """The head for these splits[photos], of which each class has one to train with.

        `report` is told how many trainings are done, of how many at most.
        """
        parts = np.array([str(each) for each in splits])
        train, validation = (np.flatnonzero(parts == each) for each in (Split.TRAIN, Split.VALIDATION))
        regression = self._regression(train)
        best = _DEFAULT_PENALTY
        if len(validation):
            best = self._search(regression, validation, report)
            rows = np.concatenate([train, validation])
            steps = regression.steps
            regression = self._regression(rows)
            regression.steps = steps
        regression.fit(best, _TOLERANCE)
        return TrainedHead(regression.head(self._axes), best, regression.steps)

    def start(self, splits: Sequence[Split], l2: float) -> StartHead:
        """A head of the photographs that train alone: what it does on validation can be compared."""
        train = np.flatnonzero(np.array([each is Split.TRAIN for each in splits]))
        regression = self._regression(train)
        regression.fit(l2, _TOLERANCE)
        return StartHead(regression.head(self._axes), l2 * self._axes.scale**2)

    def _search(
        self,
        regression: SoftmaxRegression,
        validation: npt.NDArray[np.intp],
        report: Callable[[int, int], None],
    ) -> float:
        rows, classes = self._axes.rows[validation], self._classes[validation]
        best, least, worse = _DEFAULT_PENALTY, np.inf, 0
        penalties = PENALTIES[:: 2 if self._is_much else 1]
        for done, penalty in enumerate(penalties, 1):
            regression.fit(penalty, _SEARCH_TOLERANCE)
            report(done, len(penalties) + 1)  # the last one is that of the head
            loss = balanced_loss(softmax(regression.scores(rows)), classes)
            if loss < least - _WORTH:
                best, least, worse = penalty, loss, 0
            else:
                worse += 1
                if self._is_much or worse == _WORSE_IN_A_ROW:
                    break
        return best

    def fold_fit(self, l2: float) -> FoldFit:
        """What trains a head on some photographs, and gives the probabilities [held out, classes] of others.

        Both are given by their indices.
        """

        def fit(train: npt.NDArray[np.intp], held_out: npt.NDArray[np.intp]) -> Matrix:
            regression = self._regression(train)
            regression.fit(l2, _FOLD_TOLERANCE)
            return softmax(regression.scores(self._axes.rows[held_out]))

        return fit

    def _regression(self, rows: npt.NDArray[np.intp]) -> SoftmaxRegression:
        return SoftmaxRegression(
            self._axes.rows[rows], self._axes.variances, self._classes[rows], self._count
        )


def balanced_loss(probabilities: Matrix, classes: npt.NDArray[np.intp]) -> float:
    """The mean, over the classes that are there, of the mean -log p of each class's rows."""
    return float(loss_terms(probabilities, classes).sum())


def loss_terms(probabilities: Matrix, classes: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """What each row adds to the balanced loss."""
    right = probabilities[np.arange(len(classes)), classes]
    losses = -np.log(np.maximum(right.astype(np.float64), _LEAST_PROBABILITY))
    sizes = np.bincount(classes)
    found: npt.NDArray[np.float64] = losses / sizes[classes] / np.count_nonzero(sizes)
    return found
