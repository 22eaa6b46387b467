"""The penalty is chosen on validation, and the test has no say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression

from tfleet.training.head import PENALTIES, HeadTrainer, balanced_loss
from tfleet.training.results import Split
from tfleet.training.softmax_regression import principal_axes

_PARTS = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST)


def _noisy(rows: int = 240) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.intp], list[Split]]:
    """Three classes that overlap in far more dimensions than they need: a weak penalty learns the noise."""
    random = np.random.default_rng(3)
    classes = np.arange(rows) % 3
    vectors = random.normal(size=(rows, 150))
    vectors[:, :3] += 1.5 * np.eye(3)[classes]
    return vectors.astype(np.float16), classes, [_PARTS[row // 3 % len(_PARTS)] for row in range(rows)]


def _rows(splits: list[Split], *parts: Split) -> npt.NDArray[np.bool_]:
    return np.array([split in parts for split in splits])


def test_the_penalty_is_that_which_validates_best() -> None:
    """scikit-learn, asked for each penalty, names the same one or its neighbour."""
    vectors, classes, splits = _noisy()
    found = HeadTrainer(vectors, classes, 3).train(splits)
    wide = vectors.astype(np.float64)
    scale = principal_axes(vectors).scale
    train, validation = _rows(splits, Split.TRAIN), _rows(splits, Split.VALIDATION)
    losses = []
    for l2 in PENALTIES:
        judge = LogisticRegression(
            C=1 / (train.sum() * l2 * scale**2), class_weight="balanced", max_iter=10_000
        ).fit(wide[train], classes[train])
        losses.append(balanced_loss(judge.predict_proba(wide[validation]), classes[validation]))
    best = int(np.argmin(losses))
    assert 0 < best < len(PENALTIES) - 1  # or the data would show nothing
    assert abs(PENALTIES.index(found.l2) - best) <= 1


def test_the_head_learns_from_validation_photographs_too() -> None:
    vectors, classes, splits = _noisy()
    found = HeadTrainer(vectors, classes, 3).train(splits)
    both = _rows(splits, Split.TRAIN, Split.VALIDATION)
    penalty = found.l2 * principal_axes(vectors).scale ** 2
    judge = LogisticRegression(
        C=1 / (both.sum() * penalty), class_weight="balanced", tol=1e-8, max_iter=10_000
    ).fit(vectors[both].astype(np.float64), classes[both])
    same = found.head.scores(vectors).argmax(axis=1) == judge.predict(vectors.astype(np.float64))
    assert same.mean() >= 0.98


def test_labels_of_the_test_change_nothing() -> None:
    vectors, classes, splits = _noisy()
    one = HeadTrainer(vectors, classes, 3).train(splits)
    other = HeadTrainer(vectors, np.where(_rows(splits, Split.TEST), 0, classes), 3).train(splits)
    assert other.l2 == one.l2
    assert np.array_equal(other.head.weights, one.head.weights)


def test_classes_that_are_far_apart_get_no_weak_penalty() -> None:
    """Each weaker penalty would validate a little better, and make the head sure of anything."""
    classes = np.arange(80) % 2
    vectors = (np.random.default_rng(5).normal(size=(80, 20)) + 8 * classes[:, None]).astype(np.float16)
    splits = [_PARTS[row // 2 % len(_PARTS)] for row in range(80)]
    assert HeadTrainer(vectors, classes, 2).train(splits).l2 >= 1e-3


def test_nothing_to_validate_with_is_no_error() -> None:
    vectors = np.eye(4, dtype=np.float16)[[0, 1, 2]]
    found = HeadTrainer(vectors, np.arange(3), 3).train([Split.TRAIN] * 3)
    assert found.head.scores(vectors).argmax(axis=1).tolist() == [0, 1, 2]


def test_folds_are_judged_by_what_they_were_not_trained_with() -> None:
    """A photograph with a wrong label is not judged by a head that has learned that label from it."""
    vectors, classes, _ = _noisy(120)
    vectors[:, :3] += 4 * np.eye(3)[classes].astype(np.float16)
    wrong = classes.copy()
    wrong[7] = (classes[7] + 1) % 3
    fit = HeadTrainer(vectors, wrong, 3).fold_fit(1e-3)
    others = np.flatnonzero(np.arange(120) != 7)
    assert fit(others, np.array([7])).argmax() == classes[7]


@pytest.mark.parametrize("sizes", [(10, 1000), (500, 500)])
def test_the_loss_of_each_class_counts_alike(sizes: tuple[int, int]) -> None:
    classes = np.repeat([0, 1], sizes)
    probabilities = np.where(classes[:, None] == 0, [[0.5, 0.5]], [[0.75, 0.25]]).astype(np.float32)
    assert balanced_loss(probabilities, classes) == pytest.approx((-np.log(0.5) - np.log(0.25)) / 2)


def test_it_says_how_many_penalties_are_tried() -> None:
    vectors, classes, splits = _noisy()
    told: list[tuple[int, int]] = []
    HeadTrainer(vectors, classes, 3).train(splits, lambda done, most: told.append((done, most)))
    most = len(PENALTIES) + 1
    assert told == [(done, most) for done in range(1, len(told) + 1)]
    assert 2 < len(told) < most
