"""Which photographs a model is trained with, which choose its settings, and which measure it at the end.

The rules:

- The SHA-256 of a photograph's content decides, or that of its group's name. So moving, renaming and adding
  photographs moves no other one to another part, and a copy is where its original is.
- A group stays together, whatever classes its photographs have.
- Where that would leave a class without photographs to train with, or to validate with, one of its units
  moves: the one whose hash is nearest. Training comes first. This concerns classes of a few photographs only,
  and is undone by itself when there are more of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tfleet.training.results import Split


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of all photographs, from 0 to below 1, that validate and test."""

    validation: float = 0.1
    test: float = 0.1


@dataclass(frozen=True, slots=True)
class SplitPhoto:
    """What the split of a photograph depends on: `unit` is its group, or the digest of its content."""

    label: str
    unit: str


NOHASH: Final = re.compile(r"^(.*)_nohash_")
"""The names that TensorFlow's retrain.py keeps together: what stands before `_nohash_` is the group."""


GROUP: Final = "group "
"""What the unit of a group begins with. Digests have no blank."""


def unit_of(name: str, digest: str, group_by: re.Pattern[str] | None) -> str:
    """The unit of a photograph, by its path within the folder of classes and its content's digest.

    `group_by` is searched for in the path: its first group, or else all that it matches, is the photograph's
    group. Without one, names with `_nohash_` are grouped.
    """
    found = (group_by or NOHASH).search(name)
    # An empty group, as of 'x*', is none: it would have all photographs.
    group = found and (found[1] if found.re.groups else found[0])
    return f"{GROUP}{group}" if group else digest


def split_photos(photos: Sequence[SplitPhoto], shares: Shares) -> list[Split]:
    """The part of each photograph. Each class has one to train with."""
    units = {photo.unit: _place(photo.unit) for photo in photos}
    parts = {unit: _part(place, shares) for unit, place in units.items()}
    of_class: dict[str, list[str]] = {}
    for photo in photos:
        of_class.setdefault(photo.label, []).append(photo.unit)
    classes = [sorted(set(each), key=units.__getitem__) for _, each in sorted(of_class.items())]
    for of_one in classes:
        _give_training(of_one, parts)
    for of_one in classes:
        _give_validation(of_one, parts)
    for of_one in classes:  # again: a group that validates now may have been another class's training
        _give_training(of_one, parts)
    return [parts[photo.unit] for photo in photos]


def _give_training(units: Sequence[str], parts: dict[str, Split]) -> None:
    if Split.TRAIN not in {parts[unit] for unit in units}:
        parts[units[-1]] = Split.TRAIN


def _give_validation(units: Sequence[str], parts: dict[str, Split]) -> None:
    """Let one of a class's units, which are sorted by their places, validate, if it has several."""
    if len(units) == 1 or Split.VALIDATION in {parts[unit] for unit in units}:
        return
    train = [unit for unit in units if parts[unit] is Split.TRAIN]
    test = [unit for unit in units if parts[unit] is Split.TEST]
    # The hashes of validation lie between those of the test and those of training.
    if len(train) > 1 or not test:
        parts[train[0]] = Split.VALIDATION
    else:
        parts[test[-1]] = Split.VALIDATION


def _place(unit: str) -> float:
    """Where a unit lies between 0 and 1: always the same."""
    return int.from_bytes(hashlib.sha256(unit.encode(errors="surrogateescape")).digest()[:8]) / 2**64


def _part(place: float, shares: Shares) -> Split:
    if place < shares.test:
        return Split.TEST
    return Split.VALIDATION if place < shares.test + shares.validation else Split.TRAIN


def count_by_class(labels: Sequence[str], splits: Sequence[Split]) -> Mapping[str, Mapping[Split, int]]:
    """How many photographs of each class are in each part."""
    counts: dict[str, dict[Split, int]] = {}
    for label, split in zip(labels, splits, strict=True):
        of_class = counts.setdefault(label, dict.fromkeys(Split, 0))
        of_class[split] += 1
    return counts
