"""Photographs with a wrong label."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tfleet.training.mislabels import FoldFit, Judged, deal_folds, find_mislabels, judge
from tfleet.training.results import Mislabels, Photo, Split

CLASSES = ("a", "b", "c")


def nearest_mean(vectors: npt.NDArray[Any], labels: npt.NDArray[np.intp], classes: int) -> FoldFit:
    """A model that goes by the distance from the mean of each class."""

    def fit(train: npt.NDArray[np.intp], held_out: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        assert not set(train) & set(held_out)
        there = [np.flatnonzero(labels[train] == each) for each in range(classes)]
        means = np.stack([vectors[train][rows].mean(axis=0) if len(rows) else np.zeros(2) for rows in there])
        scores = np.exp(-(np.linalg.norm(vectors[held_out, None] - means, axis=2) ** 2))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    return fit


def clusters(*sizes: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Vectors [photos, 2] about one place for each class, and the classes."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    places = np.array([(0.0, 0.0), (3.0, 0.0), (0.0, 3.0)])
    return places[labels] + np.random.default_rng(1).normal(0, 0.3, (len(labels), 2)), labels


def search(vectors: npt.NDArray[Any], labels: npt.NDArray[np.intp]) -> Mislabels:
    photos = [
        Photo(f"{row}.jpg", CLASSES[label], f"{row:064x}", 1, Split.TRAIN) for row, label in enumerate(labels)
    ]
    folds = deal_folds(labels, [photo.sha256 for photo in photos])
    judged = judge(labels, folds, len(CLASSES), nearest_mean(vectors, labels, len(CLASSES)))
    return find_mislabels(photos, CLASSES, labels, judged)


def test_swapped_labels_are_found_and_no_others() -> None:
    vectors, truth = clusters(40, 40, 40)
    labels = truth.copy()
    labels[[3, 50, 100]] = 1, 2, 0
    found = search(vectors, labels)
    assert {(each.path, each.label, each.suggested) for each in found.listed} == {
        ("3.jpg", "b", "a"),
        ("50.jpg", "c", "b"),
        ("100.jpg", "a", "c"),
    }
    assert (found.total, found.judged, found.unjudged) == (3, 120, 0)
    assert min(each.probability for each in found.listed) > 0.9
    assert max(each.label_probability for each in found.listed) < 0.1


def test_a_class_of_three_is_judged() -> None:
    vectors, labels = clusters(120, 30, 3)
    labels[152] = 0  # one of the three stands with the largest class
    found = search(vectors, labels)
    assert [(each.path, each.suggested) for each in found.listed] == [("152.jpg", "c")]
    assert found.unjudged == 0


def test_the_only_photo_of_a_class_is_not_judged() -> None:
    found = search(*clusters(20, 20, 1))
    assert (found.total, found.judged, found.unjudged) == (0, 40, 1)


def test_two_photos_are_no_error() -> None:
    found = search(*clusters(1, 1, 0))
    assert (found.total, found.judged, found.unjudged) == (0, 0, 2)


def test_clean_clusters_have_none() -> None:
    assert search(*clusters(40, 40, 40)).total == 0


def test_a_group_is_never_judged_by_its_own_photos() -> None:
    labels = np.repeat([0, 1], 50)
    groups = [str(row // 4) for row in range(100)]
    folds = deal_folds(labels, groups)
    assert all(len(set(folds[np.array(groups) == each])) == 1 for each in groups)
    assert min(np.bincount(folds, minlength=5)) >= 16


@pytest.mark.parametrize("size", [2, 3, 7])
def test_a_small_class_lies_in_several_folds(size: int) -> None:
    labels = np.array([0] * 500 + [1] * size)
    folds = deal_folds(labels, [f"{row * 7919 % 509:03}" for row in range(len(labels))])
    assert len(set(folds[labels == 1])) == min(size, 5)
    assert max(np.bincount(folds)) <= 103


def test_folds_do_not_depend_on_the_order() -> None:
    labels = np.array([0, 1, 1, 0, 0, 1, 0])
    groups = list("gfedcba")
    backwards = deal_folds(labels[::-1], groups[::-1])
    assert deal_folds(labels, groups).tolist() == backwards[::-1].tolist()


def test_a_class_has_to_be_much_likelier_than_the_label() -> None:
    labels = np.array([0, 0, 0, 1])
    photos = [Photo(f"{row}.jpg", CLASSES[label], "0", 1, Split.TRAIN) for row, label in enumerate(labels)]
    probabilities = np.array([[0.13, 0.8, 0.07], [0.17, 0.8, 0.03], [0.01, 0.8, 0.19], [0.2, 0.8, 0.0]])
    judged = Judged(probabilities, np.ones((4, 3), dtype=bool))
    found = find_mislabels(photos, CLASSES, labels, judged)
    assert [each.path for each in found.listed] == ["2.jpg", "0.jpg"], "the likeliest first"
