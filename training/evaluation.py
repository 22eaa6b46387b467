"""How good a model is on photographs that its training has not seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.training.results import (
    ClassResult,
    Confident,
    Confusion,
    Evaluation,
    Mistake,
    Photo,
    Share,
    Split,
)

MOST_MISTAKES: Final = 200
_Z: Final = 1.959964  # of the normal distribution: 95 % lie within so many deviations


def wilson(right: int, total: int) -> Share:
    """`right` of `total` with its 95 % interval, which is never outside of 0 to 1, and holds for few, too."""
    if total == 0:
        return Share(0, 0)
    share, weight = right / total, _Z * _Z / total
    middle = (share + weight / 2) / (1 + weight)
    reach = _Z / (1 + weight) * sqrt(share * (1 - share) / total + weight / (4 * total))
    # An end that is 0 or 1 is so exactly, whatever the rounding.
    low = 0.0 if right == 0 else middle - reach
    return Share(right, total, low, 1.0 if right == total else middle + reach)


def evaluate(
    classes: Sequence[str],
    photos: Sequence[Photo],
    probabilities: npt.NDArray[Any],
    min_confidence: float | None = None,
) -> Evaluation:
    """Compare the model's answers with the labels.

    `photos` are those of all splits. `probabilities` is [tests, classes]: a row for each photograph of the
    test split, in the order of `photos`; a column for each of `classes`. Of equal probabilities the first
    class is the answer. A class without a test photograph has a recall of 0 of 0, and stands in `untested`.
    """
    column = {label: index for index, label in enumerate(classes)}
    tests = [photo for photo in photos if photo.split is Split.TEST]
    if probabilities.shape != (len(tests), len(classes)):
        raise ValueError(
            f"{len(tests)} tests of {len(classes)} classes have probabilities {probabilities.shape}"
        )
    truth = np.array([column[photo.label] for photo in tests], dtype=np.intp)
    answers = probabilities.argmax(axis=1) if tests else truth
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (truth, answers), 1)
    mistakes = _mistakes(classes, tests, truth, answers, probabilities)
    results = _class_results(classes, photos, counts)
    return Evaluation(
        accuracy=wilson(int(counts.trace()), len(tests)),
        majority=_majority(results),
        classes=results,
        confusions=_confusions(classes, counts),
        mistakes=mistakes[:MOST_MISTAKES],
        mistakes_total=len(mistakes),
        untested=tuple(each.label for each in results if each.recall.total == 0),
        confident=None
        if min_confidence is None
        else confident(min_confidence, truth == answers, probabilities.max(axis=1, initial=0.0)),
    )


def confident(
    min_confidence: float, right: npt.NDArray[np.bool_], probability: npt.NDArray[Any]
) -> Confident:
    """What is left of the answers [tests] with a least probability: a lower one is "unknown"."""
    kept = probability >= min_confidence
    answered = int(kept.sum())
    return Confident(min_confidence, wilson(answered, len(right)), wilson(int(right[kept].sum()), answered))


def _class_results(
    classes: Sequence[str], photos: Sequence[Photo], counts: npt.NDArray[np.int64]
) -> tuple[ClassResult, ...]:
    of_class = {label: dict.fromkeys(Split, 0) for label in classes}
    for photo in photos:
        of_class[photo.label][photo.split] += 1
    return tuple(
        ClassResult(
            label,
            of_class[label][Split.TRAIN],
            of_class[label][Split.VALIDATION],
            of_class[label][Split.TEST],
            wilson(int(counts[index, index]), int(counts[index].sum())),
        )
        for index, label in enumerate(classes)
    )


def _majority(results: Sequence[ClassResult]) -> Share:
    """What the tests would give if the answer was always the class with most photographs to train with."""
    largest = max(results, key=lambda each: each.train, default=None)
    return wilson(largest.test if largest else 0, sum(each.test for each in results))


def _confusions(classes: Sequence[str], counts: npt.NDArray[np.int64]) -> tuple[Confusion, ...]:
    """Most frequent first; the right answers, too."""
    rows, columns = np.nonzero(counts)
    found = counts[rows, columns]
    order = np.lexsort((columns, rows, -found))
    return tuple(Confusion(classes[rows[each]], classes[columns[each]], int(found[each])) for each in order)


def _mistakes(
    classes: Sequence[str],
    tests: Sequence[Photo],
    truth: npt.NDArray[np.intp],
    answers: npt.NDArray[np.intp],
    probabilities: npt.NDArray[Any],
) -> tuple[Mistake, ...]:
    """Most confident first."""
    wrong = np.flatnonzero(truth != answers)
    order = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")]
    return tuple(
        Mistake(
            tests[each].path,
            tests[each].label,
            classes[answers[each]],
            float(probabilities[each, answers[each]]),
            float(probabilities[each, truth[each]]),
        )
        for each in order
    )
