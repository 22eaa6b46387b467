"""The regression finds what scikit-learn finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression

from tfleet.training.softmax_regression import Axes, LinearHead, SoftmaxRegression, principal_axes, softmax

_COUNT = 4


def _photos(
    rows: int, dimensions: int, *, count: int = _COUNT
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Vectors of unbalanced classes that overlap, all positive as those of a network are."""
    random = np.random.default_rng(7)
    classes = np.sort(np.append(np.arange(count), random.choice(count, rows - count, p=_falling(count))))
    means = random.normal(size=(count, dimensions))
    vectors = np.maximum(0, 0.3 * means[classes] + random.normal(size=(rows, dimensions)))
    return vectors.astype(np.float32), classes


def _fit(axes: Axes, classes: npt.NDArray[np.intp], count: int, l2: float) -> LinearHead:
    regression = SoftmaxRegression(axes.rows, axes.variances, classes, count)
    regression.fit(l2, 1e-6)
    return regression.head(axes)


def _falling(count: int) -> npt.NDArray[np.float64]:
    shares = 0.5 ** np.arange(count)
    return np.asarray(shares / shares.sum())


def _loss(
    found: LinearHead, vectors: npt.NDArray[np.float32], classes: npt.NDArray[np.intp], penalty: float
) -> float:
    """What both minimize, in float64 and as it is written in the textbook."""
    weights, intercepts = (each.astype(np.float64) for each in (found.weights, found.intercepts))
    scores = vectors.astype(np.float64) @ weights + intercepts
    scores -= scores.max(axis=1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    sizes = np.bincount(classes)
    shares = len(classes) / (len(sizes) * sizes[classes])
    right = logs[np.arange(len(classes)), classes]
    return float(-(shares * right).mean() + penalty / 2 * (weights**2).sum())


@pytest.mark.parametrize("dimensions", [12, 300], ids=["more-rows", "more-dimensions"])
@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_scikit_learn_finds_the_same(dimensions: int, l2: float) -> None:
    vectors, classes = _photos(200, dimensions)
    axes = principal_axes(vectors)
    found = _fit(axes, classes, _COUNT, l2)
    penalty = l2 * axes.scale**2
    judge = LogisticRegression(C=1 / (200 * penalty), class_weight="balanced", tol=1e-8, max_iter=10_000)
    judge.fit(vectors.astype(np.float64), classes)
    other = LinearHead(judge.coef_.T, judge.intercept_)
    assert _loss(found, vectors, classes, penalty) <= 1.001 * _loss(other, vectors, classes, penalty)
    fresh, _ = _photos(400, dimensions)
    same = found.scores(fresh).argmax(axis=1) == judge.predict(fresh.astype(np.float64))
    assert same.mean() >= 0.98


def test_a_rare_class_counts_as_much_as_a_frequent_one() -> None:
    """One of 41 is of the rare class; without balancing, the best answer is always the other one."""
    random = np.random.default_rng(1)
    classes = np.repeat([0, 1], [400, 10])
    vectors = (random.normal(size=(410, 5)) + 0.9 * classes[:, None]).astype(np.float32)
    found = _fit(principal_axes(vectors), classes, 2, 1e-2)
    answers = found.scores(vectors).argmax(axis=1)
    assert (answers[classes == 1] == 1).mean() >= 0.7


def test_fits_in_a_row_end_where_a_single_one_does() -> None:
    vectors, classes = _photos(150, 20)
    axes = principal_axes(vectors)
    warm = SoftmaxRegression(axes.rows, axes.variances, classes, _COUNT)
    for l2 in (1.0, 1e-1, 1e-2):
        warm.fit(l2, 1e-7)
    cold = _fit(axes, classes, _COUNT, 1e-2)
    assert np.abs(warm.head(axes).probabilities(vectors) - cold.probabilities(vectors)).max() < 0.01
    assert softmax(warm.scores(axes.rows)) == pytest.approx(warm.head(axes).probabilities(vectors), abs=1e-4)


@pytest.mark.parametrize("rows", [1, 3])
def test_vectors_that_are_all_alike_are_no_error(rows: int) -> None:
    axes = principal_axes(np.ones((rows, 7), dtype=np.float16))
    found = _fit(axes, np.arange(rows), rows, 1e-3)
    assert found.probabilities(np.ones((1, 7), dtype=np.float16)) == pytest.approx(
        np.full((1, rows), 1 / rows)
    )
