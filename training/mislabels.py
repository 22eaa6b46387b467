"""Photographs that probably have the wrong label, found by models that have not seen them. Pure.

The photographs are dealt into folds, and those of each fold are judged by a model of all others. A photograph
is suspect where that model gives another class the most, and as much as it usually gives the photographs of
that class: the rule of confident learning (Northcutt et al., 2021; cleanlab). A model that is often wrong
suspects far too many by it, so the other class has to be five times as likely, too.

The order counts how many times as likely the other class is, and by how much. Of 463 photographs of food in
20 classes, 23 had got a wrong label: 7 of the first 10 were such where the wrong class was a random one, and
3 where it was one that looks alike. cleanlab's margin alone has 4 in both cases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from tfleet.training.results import Mislabel, Mislabels, Photo

FOLDS: Final = 5
MOST_LISTED: Final = 500
_LEAST_RATIO: Final = 5.0
_MARGIN_WEIGHT: Final = 4.0
_LEAST_PROBABILITY: Final = 1e-6


class FoldFit(Protocol):
    """Trains a model on some rows, and asks it about others."""

    def __call__(self, train: npt.NDArray[np.intp], held_out: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return the probabilities [held_out, classes] by a model of the rows `train`.

        Some classes may have no row in `train`: what their columns have is not used.
        """


@dataclass(frozen=True, slots=True)
class Judged:
    """Probabilities [photos, classes] by models that have not seen the photograph.

    `possible` [photos, classes] says of which classes that model has seen photographs.
    """

    probabilities: npt.NDArray[Any]
    possible: npt.NDArray[np.bool_]


def deal_folds(
    labels: npt.NDArray[np.intp], groups: Sequence[str], folds: int = FOLDS
) -> npt.NDArray[np.intp]:
    """The fold [photos] of each photograph, from 0 to below `folds`.

    `groups` names what has to stay together: the content's digest, at least. They are dealt in the order of
    their names, each where its class has the fewest so far: so the groups of a class are in several folds.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    dealt = np.zeros((int(labels.max(initial=-1)) + 1, folds), dtype=np.int64)
    sizes = np.bincount(labels, minlength=len(dealt))
    total = np.zeros(folds, dtype=np.int64)
    found = np.zeros(len(labels), dtype=np.intp)
    # Groups of several classes come first: they have the least choice.
    for group in sorted(members, key=lambda each: (-len(set(labels[members[each]])), each)):
        rows = members[group]
        rarest = min(labels[rows], key=lambda label: sizes[label])
        fold = int(np.lexsort((total, dealt[rarest]))[0])
        found[rows] = fold
        np.add.at(dealt[:, fold], labels[rows], 1)
        total[fold] += len(rows)
    return found


def judge(labels: npt.NDArray[np.intp], folds: npt.NDArray[np.intp], classes: int, fit: FoldFit) -> Judged:
    """Let each fold be judged by a model of the others. A fold without others to learn from is left out."""
    probabilities = np.zeros((len(labels), classes), dtype=np.float32)
    possible = np.zeros((len(labels), classes), dtype=np.bool_)
    for fold in np.unique(folds):
        held_out, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        seen = np.bincount(labels[train], minlength=classes) > 0
        if seen.sum() < 2:  # noqa: PLR2004 a model tells two classes apart at least
            continue
        probabilities[held_out] = np.where(seen, fit(train, held_out), 0.0)
        possible[held_out] = seen
    return Judged(probabilities, possible)


def find_mislabels(
    photos: Sequence[Photo], classes: Sequence[str], labels: npt.NDArray[np.intp], judged: Judged
) -> Mislabels:
    """The photographs that are probably mislabelled.

    `labels` [photos] are columns of `classes`. A photograph whose class its model has not seen, being the
    only one, can't be judged.
    """
    rows = np.arange(len(labels))
    able = judged.possible[rows, labels] if len(labels) else np.zeros(0, dtype=np.bool_)
    thresholds = _usual_confidence(labels, judged, able, len(classes))
    suggested = judged.probabilities.argmax(axis=1) if len(labels) else labels
    given, best = judged.probabilities[rows, labels], judged.probabilities[rows, suggested]
    likely = (best >= thresholds[suggested]) & (best >= _LEAST_RATIO * given)
    suspect = np.flatnonzero(able & (suggested != labels) & likely)
    given, best = given[suspect], best[suspect]
    times = np.log(best / np.maximum(given, _LEAST_PROBABILITY))
    order = suspect[np.argsort(-times - _MARGIN_WEIGHT * (best - given), kind="stable")]
    listed = tuple(_found(photos, classes, labels, suggested, judged, order[:MOST_LISTED]))
    return Mislabels(listed, len(order), int(able.sum()), int(len(labels) - able.sum()))


def _usual_confidence(
    labels: npt.NDArray[np.intp], judged: Judged, able: npt.NDArray[np.bool_], classes: int
) -> npt.NDArray[np.float64]:
    """The mean probability [classes] that photographs of a class get for it; 1 where none was judged."""
    given = judged.probabilities[np.arange(len(labels)), labels][able]
    counts = np.bincount(labels[able], minlength=classes)
    sums = np.bincount(labels[able], weights=given, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def _found(
    photos: Sequence[Photo],
    classes: Sequence[str],
    labels: npt.NDArray[np.intp],
    suggested: npt.NDArray[np.intp],
    judged: Judged,
    order: npt.NDArray[np.intp],
) -> Iterator[Mislabel]:
    for row in order:
        yield Mislabel(
            photos[row].path,
            photos[row].label,
            classes[suggested[row]],
            float(judged.probabilities[row, suggested[row]]),
            float(judged.probabilities[row, labels[row]]),
        )
