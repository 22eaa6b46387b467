"""The same vectors, with tfleet's head, scikit-learn's and Keras': how alike, how good, how long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.training.heads import HeadFigures, Task, keras, ours, scikit
from tfleet.training.results import Split


@dataclass(frozen=True, slots=True)
class Comparison:
    """Three heads for the same task, and what always answering the most frequent class would know."""

    task: Task
    ours: HeadFigures
    scikit: HeadFigures
    keras: HeadFigures

    @property
    def same(self) -> float:
        """The share of the tested for which tfleet and scikit-learn answer the same."""
        return float((self.ours.answers == self.scikit.answers).mean())

    @property
    def objective_excess(self) -> float:
        """By how much tfleet's loss is above scikit-learn's."""
        return self.ours.objective / self.scikit.objective - 1

    @property
    def majority(self) -> float:
        """What the most frequent class of the training would know of the tested."""
        task = self.task
        trained = np.bincount(task.classes[task.rows(Split.TRAIN, Split.VALIDATION)])
        return float((task.classes[task.rows(Split.TEST)] == trained.argmax()).mean())


def compare(task: Task, folder: Path) -> Comparison:
    """Train the three heads."""
    mine = ours(task)
    return Comparison(task, mine, scikit(task, mine.l2), keras(task, folder))
