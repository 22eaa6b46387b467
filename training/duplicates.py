"""Photographs that are there more than once: the same content in several files, or copies that look alike.

Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.training.near_duplicates import SKETCH_SIDE, Alike, alike_vectors, same_pictures
from tfleet.training.results import Copies, Duplicates, Photo

MOST_LISTED: Final = 500
MOST_LOOKED_AT: Final = 10_000

Sketch = npt.NDArray[np.uint8]
Look = Callable[[Sequence[Photo]], Iterable[Sketch | None]]
"""Gives the sketch (see `near_duplicates`) of each photograph, or None where it can't be read any more."""


def find_duplicates(photos: Sequence[Photo], vectors: npt.NDArray[Any], look: Look) -> Duplicates:
    """Groups of copies, those across classes first, then those across splits.

    `vectors` is [photos, dimensions]. `look` is called once, for those whose vectors are alike: at most
    MOST_LOOKED_AT, the likeliest.
    """
    of_content: dict[str, list[int]] = defaultdict(list)
    for row, photo in enumerate(photos):
        of_content[photo.sha256].append(row)
    contents = list(of_content.values())
    firsts = np.array([rows[0] for rows in contents], dtype=np.intp)
    alike = likeliest(alike_vectors(vectors[firsts]), MOST_LOOKED_AT)
    sketches = np.zeros((len(firsts), SKETCH_SIDE, SKETCH_SIDE), dtype=np.uint8)
    known = np.zeros(len(firsts), dtype=np.bool_)
    asked = np.unique(alike.pairs)
    found = look([photos[firsts[each]] for each in asked])
    for each, one in zip(asked, found, strict=True):
        if one is not None:
            sketches[each], known[each] = one, True
    groups = _connected(len(firsts), same_pictures(alike, sketches, known))
    copies = [
        Copies(tuple(photos[row] for row in sorted(rows)), exact=len(group) == 1)
        for group in groups
        if len(rows := [row for each in group for row in contents[each]]) > 1
    ]
    copies.sort(key=lambda each: (not each.across_classes, not each.across_splits, each.photos[0].path))
    return Duplicates(tuple(copies[:MOST_LISTED]), len(copies))


def likeliest(alike: Alike, photos: int) -> Alike:
    """The pairs with the highest cosines, of that many photographs at most."""
    order = np.argsort(-alike.cosines, kind="stable")
    seen = np.unique(alike.pairs[order].ravel(), return_index=True)[1]
    if len(seen) <= photos:
        return alike
    # Two places of that list belong to a pair, and a photograph is new where it stands first.
    kept = order[: np.sort(seen)[photos] // 2]
    return Alike(alike.pairs[kept], alike.cosines[kept])


def _connected(count: int, pairs: npt.NDArray[np.intp]) -> list[list[int]]:
    """What pairs of 0 to below `count` connect, each alone that has no pair."""
    root = list(range(count))

    def find(each: int) -> int:
        while root[each] != each:
            root[each] = each = root[root[each]]
        return each

    for one, other in pairs.tolist():
        root[find(one)] = find(other)
    groups: dict[int, list[int]] = defaultdict(list)
    for each in range(count):
        groups[find(each)].append(each)
    return list(groups.values())
