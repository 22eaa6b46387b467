"""How good a model is on photographs that it has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from tfleet.training.evaluation import evaluate, wilson
from tfleet.training.results import ClassResult, Confusion, Photo, Share, Split

CLASSES = ("花", "木", "rare")


def photo(label: str, split: Split = Split.TEST, name: str = "") -> Photo:
    return Photo(f"{label}/{name or split}.jpg", label, "0" * 64, 1, split)


def test_the_interval_is_wilsons() -> None:
    # The figures of SciPy's binomtest(...).proportion_ci(method="wilson").
    assert (wilson(8, 10).low, wilson(8, 10).high) == pytest.approx((0.490162, 0.943318), abs=1e-5)
    assert (wilson(1, 3).low, wilson(1, 3).high) == pytest.approx((0.061492, 0.792340), abs=1e-5)


@pytest.mark.parametrize("total", [1, 3, 1000])
def test_an_interval_stays_within_0_and_1(total: int) -> None:
    assert wilson(0, total).low == 0.0 < wilson(0, total).high < 1.0
    assert wilson(total, total).high == 1.0 > wilson(total, total).low > 0.0
    assert wilson(0, 0) == Share(0, 0, 0.0, 1.0)


def test_answers_are_counted_by_class() -> None:
    photos = [photo("花", Split.TRAIN), photo("花"), photo("木"), photo("木"), photo("rare", Split.TRAIN)]
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.9, 0.05, 0.05]])
    found = evaluate(CLASSES, photos, probabilities)
    assert found.accuracy == wilson(2, 3)
    assert found.classes == (
        ClassResult("花", 1, 0, 1, wilson(1, 1)),
        ClassResult("木", 0, 0, 2, wilson(1, 2)),
        ClassResult("rare", 1, 0, 0, wilson(0, 0)),
    )
    assert set(found.confusions) == {
        Confusion("花", "花", 1),
        Confusion("木", "花", 1),
        Confusion("木", "木", 1),
    }
    assert found.untested == ("rare",), "it is named, and nothing is divided by 0"
    assert found.majority == wilson(1, 3)


def test_the_most_confident_mistake_comes_first() -> None:
    photos = [photo("花", name="unsure"), photo("花", name="right"), photo("木", name="sure")]
    probabilities = np.array([[0.4, 0.5, 0.1], [0.8, 0.1, 0.1], [0.9, 0.1, 0.0]])
    found = evaluate(CLASSES, photos, probabilities)
    assert [each.path for each in found.mistakes] == ["木/sure.jpg", "花/unsure.jpg"]
    assert (found.mistakes[0].predicted, found.mistakes[0].probability) == ("花", 0.9)
    assert found.mistakes[0].label_probability == pytest.approx(0.1)
    assert found.mistakes_total == 2


def test_unsure_answers_are_unknown() -> None:
    photos = [photo("花", name=str(each)) for each in range(4)]
    probabilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.45, 0.5, 0.05]])
    found = evaluate(CLASSES, photos, probabilities, min_confidence=0.6).confident
    assert found is not None
    assert found.answered == wilson(3, 4), "0.6 is enough, 0.5 is not"
    assert found.right == wilson(2, 3)


def test_no_test_photographs_are_no_error() -> None:
    found = evaluate(CLASSES, [photo("花", Split.TRAIN)], np.zeros((0, 3)), min_confidence=0.5)
    assert found.accuracy.value is None
    assert found.untested == CLASSES
    assert (found.confusions, found.mistakes, found.majority.total) == ((), (), 0)
    assert found.confident is not None
    assert found.confident.right.value is None


def test_probabilities_of_other_photos_are_refused() -> None:
    with pytest.raises(ValueError, match="1 tests of 3 classes"):
        evaluate(CLASSES, [photo("花")], np.zeros((2, 3)))
