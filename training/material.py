"""What heads are made of: photographs with their vectors, classes and parts, and what to warn of."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tfleet.runtime.printable import printable
from tfleet.training.photos import FEW_PHOTOS, FoundPhotos, check_classes
from tfleet.training.results import Photo, Split
from tfleet.training.splits import GROUP, Shares, SplitPhoto, split_photos, unit_of
from tfleet.training.vectors import EmbeddedPhotos

_MOST_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How photographs are split, and which belong together."""

    shares: Shares
    group_by: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Material:
    """Photographs in the order of their names: vectors[photos, dimensions], and columns[photos] of classes.

    `units` are the groups that photographs belong to, or the digests of those that are alone.
    """

    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    vectors: npt.NDArray[np.float16]
    columns: npt.NDArray[np.intp]
    units: tuple[str, ...]

    @property
    def splits(self) -> list[Split]:
        """The part of each photograph."""
        return [each.split for each in self.photos]


def training_material(root: Path, embedded: EmbeddedPhotos, plan: SplitPlan) -> Material:
    """Split the photographs. Raises CannotRetrainError where fewer than two classes have one."""
    classes = sorted({each.file.label for each in embedded.photos})
    check_classes(root, classes, embedded.passed_over, "that can be read")
    units = tuple(unit_of(each.file.name, each.digest, plan.group_by) for each in embedded.photos)
    placed = [SplitPhoto(each.file.label, unit) for each, unit in zip(embedded.photos, units, strict=True)]
    splits = split_photos(placed, plan.shares)
    photos = tuple(
        Photo(each.file.name, each.file.label, each.digest, each.bytes, split)
        for each, split in zip(embedded.photos, splits, strict=True)
    )
    column = {label: index for index, label in enumerate(classes)}
    columns = np.array([column[each.label] for each in photos], dtype=np.intp)
    return Material(
        tuple(classes), photos, np.stack([each.vector for each in embedded.photos]), columns, units
    )


def warnings_of(found: FoundPhotos, material: Material, plan: SplitPlan, damaged: int) -> Iterator[str]:
    """What the user should know, a line each. `damaged` is the number of the cache's vectors that are so."""
    unread = [each for each in found.classes if each not in material.classes]
    if lost := sorted([*found.empty, *unread]):
        yield f"the model does not know {_named(lost)}: no file there can be read as a photograph"
    sizes = np.bincount(material.columns)
    few = [
        f"{printable(label)} ({size})"
        for label, size in zip(material.classes, sizes, strict=True)
        if size < FEW_PHOTOS
    ]
    if few:
        yield f"fewer than {FEW_PHOTOS} photographs: {_named(few)}: expect more mistakes there"
    validated = {each.label for each in material.photos if each.split is Split.VALIDATION}
    if alone := [label for label in material.classes if label not in validated]:
        yield f"nothing to validate with: {_named(alone)}: give more photographs, or smaller groups"
    if alike := [" and ".join(each) for each in _look_alike(material.classes)]:
        yield f"classes whose names look alike: {_named(alike)}: make one folder of those that are one class"
    grouped = sum(unit.startswith(GROUP) for unit in material.units)
    if plan.group_by is not None and grouped < len(material.units):
        yield (
            f"--group-by finds a group in the paths of {grouped:,} of {len(material.units):,} photographs: "
            "each of the others is alone"
        )
    if damaged:
        yield f"{damaged:,} vectors of the cache were damaged: they are made again where they are needed"


def _look_alike(names: Sequence[str]) -> list[list[str]]:
    """Those that differ only in the case of letters, or in how Unicode writes them."""
    alike: dict[str, list[str]] = defaultdict(list)
    for each in names:
        alike[unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", each).casefold())].append(each)
    return [each for each in alike.values() if len(each) > 1]


def _named(names: Sequence[str]) -> str:
    listed = ", ".join(printable(each) for each in names[:_MOST_NAMED])
    return listed if len(names) <= _MOST_NAMED else f"{listed} and {len(names) - _MOST_NAMED:,} more"
