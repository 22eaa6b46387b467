"""Heads on the same vectors: tfleet's, scikit-learn's and Keras'."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.training.head import HeadTrainer
from tfleet.training.results import Split
from tfleet.training.softmax_regression import softmax

_TOLERANCE: Final = 1e-7
_TWO: Final = 2
_MOST_STEPS: Final = 20_000
KERAS_EPOCHS: Final = 20


@dataclass(frozen=True, slots=True)
class Task:
    """vectors[N, dimensions] with their classes[N], 0 to `count` - 1, and the part of each."""

    vectors: npt.NDArray[np.float32]
    classes: npt.NDArray[np.intp]
    count: int
    splits: Sequence[Split]

    def rows(self, *parts: Split) -> npt.NDArray[np.intp]:
        """The indices of what is in these parts."""
        return np.flatnonzero([each in parts for each in self.splits])


@dataclass(frozen=True, slots=True)
class HeadFigures:
    """A head's answers[tested], and the seconds of CPU that it took."""

    answers: npt.NDArray[np.intp]
    seconds: float
    objective: float = 0.0
    l2: float = 0.0

    def accuracy(self, task: Task) -> float:
        """The share of the tested that it knows."""
        return float((self.answers == task.classes[task.rows(Split.TEST)]).mean())


def ours(task: Task) -> HeadFigures:
    """tfleet's head, with the choice of its penalty."""
    began_s = time.process_time()
    trained = HeadTrainer(task.vectors, task.classes, task.count).train(task.splits)
    seconds = time.process_time() - began_s
    head = trained.head
    found = _objective(task, head.weights, head.intercepts, trained.l2)
    scores = head.scores(task.vectors[task.rows(Split.TEST)])
    return HeadFigures(scores.argmax(axis=1), seconds, found, trained.l2)


def scikit(task: Task, l2: float) -> HeadFigures:
    """scikit-learn's logistic regression with this penalty, to its end."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - it takes a second

    mean, scale = _centre(task)
    rows = task.rows(Split.TRAIN, Split.VALIDATION)
    # With two classes it has one column w for w / 2 and -w / 2, whose squares together are half of its own.
    strength = len(rows) * l2 / (2 if task.count == _TWO else 1)
    inputs = ((task.vectors - mean) / scale).astype(np.float64)
    regression = LogisticRegression(
        C=1 / strength, class_weight="balanced", max_iter=_MOST_STEPS, tol=_TOLERANCE
    )
    began_s = time.process_time()
    regression.fit(inputs[rows], task.classes[rows])
    seconds = time.process_time() - began_s
    weights = regression.coef_.T / scale
    intercepts = regression.intercept_ - mean @ weights
    if task.count == _TWO:
        weights, intercepts = np.hstack([-weights, weights]) / 2, np.append(-intercepts, intercepts) / 2
    answers = regression.predict(inputs[task.rows(Split.TEST)])
    return HeadFigures(answers, seconds, _objective(task, weights, intercepts, l2), l2)


def keras(task: Task, folder: Path) -> HeadFigures:
    """The Dense layer of Keras' guide to transfer learning, on the vectors, in a process of its own."""
    train, test = task.rows(Split.TRAIN, Split.VALIDATION), task.rows(Split.TEST)
    np.savez(folder / "task.npz", x=task.vectors[train], y=task.classes[train], test=task.vectors[test])
    program = Path(__file__).with_name("keras_head.py")
    command = [sys.executable, str(program), str(folder / "task.npz"), str(task.count), str(KERAS_EPOCHS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return HeadFigures(np.array(found["answers"], dtype=np.intp), found["seconds"])


def _centre(task: Task) -> tuple[npt.NDArray[Any], float]:
    """The mean and the scale of all vectors, as tfleet's head has them."""
    mean = task.vectors.mean(axis=0, dtype=np.float64)
    return mean, float(np.sqrt(((task.vectors - mean) ** 2).sum(axis=1).mean()))


def _objective(task: Task, weights: npt.NDArray[Any], intercepts: npt.NDArray[Any], l2: float) -> float:
    """What both minimize; see training/softmax_regression.py."""
    rows = task.rows(Split.TRAIN, Split.VALIDATION)
    classes = task.classes[rows]
    found = softmax((task.vectors[rows].astype(np.float64) @ weights + intercepts).astype(np.float64))
    sizes = np.bincount(classes, minlength=task.count)
    shares = 1 / (np.count_nonzero(sizes) * sizes[classes])
    losses = -np.log(np.maximum(found[np.arange(len(rows)), classes], 1e-300))
    _, scale = _centre(task)
    return float(shares @ losses + l2 / 2 * scale**2 * (weights.astype(np.float64) ** 2).sum())
