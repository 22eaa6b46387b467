"""What the page compares is comparable: tfleet's head and scikit-learn's minimize the same."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.training.compare import Comparison
from benchmarks.training.heads import HeadFigures, Task, ours, scikit
from tfleet.training.results import Split

pytestmark = pytest.mark.process  # scikit-learn takes seconds to import


def task(count: int, rows: int = 200) -> Task:
    """Points around a centre for each class, of which one class is rare; they overlap."""
    chance = np.random.default_rng(count)
    classes = np.append(np.arange(count), chance.integers(0, count - 1, rows - count))
    vectors = chance.normal(size=(count, 12))[classes] + chance.normal(size=(rows, 12))
    parts = [Split.TRAIN] * count + [
        (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST)[number % 4] for number in range(rows - count)
    ]
    return Task(vectors.astype(np.float32), classes, count, parts)


@pytest.mark.parametrize("count", [2, 5])
def test_both_heads_minimize_the_same(count: int) -> None:
    given = task(count)
    mine = ours(given)
    theirs = scikit(given, mine.l2)
    found = Comparison(given, mine, theirs, HeadFigures(theirs.answers, 0.0))
    assert found.same >= 0.98
    assert -1e-4 < found.objective_excess < 1e-3
    other = scikit(given, mine.l2 * 100)
    assert other.objective != pytest.approx(theirs.objective, rel=0.01)


def test_the_most_frequent_class_is_that_of_the_training() -> None:
    parts = [Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST, Split.TEST]
    given = Task(np.zeros((5, 1), np.float32), np.array([0, 1, 1, 1, 0]), 2, parts)
    nothing = HeadFigures(np.array([1, 1]), 0.0)
    assert Comparison(given, nothing, nothing, nothing).majority == 0.5
    assert nothing.accuracy(given) == 0.5
