"""What the user is told of photographs and classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfleet.training.material import SplitPlan, training_material, warnings_of
from tfleet.training.photos import FoundPhotos, PhotoFile
from tfleet.training.splits import Shares
from tfleet.training.vectors import EmbeddedPhoto, EmbeddedPhotos

_ENOUGH = 20


def _warnings(classes: Sequence[str], group_by: str | None = None, damaged: int = 0) -> list[str]:
    """Those of 20 photographs of each class, called 0.jpg to 19.jpg."""
    files = [PhotoFile(f"{label}/{number}.jpg", label) for label in classes for number in range(_ENOUGH)]
    photos = [
        EmbeddedPhoto(file, f"{index:064x}", 1, np.zeros(4, np.float16)) for index, file in enumerate(files)
    ]
    plan = SplitPlan(Shares(), None if group_by is None else re.compile(group_by))
    material = training_material(Path("photos"), EmbeddedPhotos(tuple(photos), (), 0), plan)
    found = FoundPhotos(Path("photos"), tuple(classes), tuple(files), ())
    return list(warnings_of(found, material, plan, damaged))


def test_names_that_look_alike_are_told() -> None:
    twins = ("Rose", "cafe\u0301", "caf\u00e9", "rose", "rosé", "花", "木")
    assert _warnings(twins) == [
        "classes whose names look alike: Rose and rose, cafe\u0301 and caf\u00e9: make one folder of those "
        "that are one class"
    ]


def test_a_pattern_that_finds_no_group_is_told() -> None:
    """Without a word the test would ask what the training has seen."""
    assert _warnings(("a", "b"), group_by="plant[0-9]+") == [
        "--group-by finds a group in the paths of 0 of 40 photographs: each of the others is alone"
    ]
    (some,) = _warnings(("a", "b"), group_by="a/1[0-9]?")
    assert "the paths of 11 of 40" in some
    assert _warnings(("a", "b"), group_by="[0-9]+") == []


def test_damaged_vectors_of_the_cache_are_told() -> None:
    assert _warnings(("a", "b"), damaged=3) == [
        "3 vectors of the cache were damaged: they are made again where they are needed"
    ]
