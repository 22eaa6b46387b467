"""Photographs that are there more than once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfleet.training.duplicates import Look, find_duplicates, likeliest
from tfleet.training.near_duplicates import Alike
from tfleet.training.results import Duplicates, Photo, Split

RANDOM = np.random.default_rng(3)
VECTORS = RANDOM.normal(size=(20, 64))
SKETCHES = RANDOM.integers(0, 255, (20, 16, 16), dtype=np.uint8)


def photo(picture: int, label: str, split: Split = Split.TRAIN, content: str = "") -> Photo:
    """A file that shows one of 20 pictures; those of one content have the same bytes."""
    return Photo(f"{label}/{picture}{content}{split}.jpg", label, f"{picture} {content}", 1, split)


def look(photos: Sequence[Photo]) -> list[npt.NDArray[np.uint8]]:
    return [SKETCHES[int(each.sha256.split()[0])] for each in photos]


def search(photos: Sequence[Photo], how: Look = look) -> Duplicates:
    vectors = np.array([VECTORS[int(each.sha256.split()[0])] for each in photos])
    return find_duplicates(photos, vectors, how)


OTHERS = [photo(each, "a") for each in range(10, 20)]


def paths(found: Duplicates) -> list[tuple[set[str], bool]]:
    return [({each.path for each in copies.photos}, copies.exact) for copies in found.listed]


def test_the_same_content_in_two_classes_is_found() -> None:
    one, other = photo(1, "a"), photo(1, "b")
    found = search([one, *OTHERS, other])
    assert paths(found) == [({one.path, other.path}, True)]
    assert found.listed[0].across_classes


def test_a_copy_in_the_test_is_found() -> None:
    one, other, same = (
        photo(2, "a"),
        photo(2, "a", Split.TEST, "smaller"),
        photo(2, "b", Split.TEST, "smaller"),
    )
    found = search([one, *OTHERS, other, same])
    assert paths(found) == [({one.path, other.path, same.path}, False)]
    assert (found.listed[0].across_classes, found.listed[0].across_splits) == (True, True)


def test_what_matters_most_comes_first() -> None:
    harmless = [photo(1, "a"), photo(1, "a", content="x")]
    across_splits = [photo(2, "a"), photo(2, "a", Split.TEST, "x")]
    across_classes = [photo(3, "a"), photo(3, "b", content="x")]
    found = search([*harmless, *across_splits, *across_classes, *OTHERS])
    assert [each.photos[0].sha256[0] for each in found.listed] == ["3", "2", "1"]
    assert found.total == 3


def test_like_vectors_of_other_pictures_are_no_copies() -> None:
    one, other = photo(1, "a"), photo(1, "b", content="x")
    assert search([one, *OTHERS, other], lambda asked: [SKETCHES[0], *look(asked)[1:]]).total == 0


def test_a_photo_that_is_gone_has_no_copies() -> None:
    one, other = photo(1, "a"), photo(1, "b", content="x")
    assert search([one, *OTHERS, other], lambda asked: [None, *look(asked)[1:]]).total == 0


def test_only_photos_with_like_vectors_are_looked_at() -> None:
    asked: list[Photo] = []

    def remember(photos: Sequence[Photo]) -> list[Any]:
        asked.extend(photos)
        return look(photos)

    copies = [photo(1, "a"), photo(1, "b", content="x")]
    search([*copies, *OTHERS], remember)
    assert asked == copies


def test_of_too_many_the_likeliest_are_looked_at() -> None:
    found = Alike(np.array([[0, 1], [2, 3], [4, 5]]), np.array([0.6, 0.9, 0.8], dtype=np.float32))
    kept = likeliest(found, 5)
    assert kept.pairs.tolist() == [[2, 3], [4, 5]]
    assert likeliest(found, 6) is found


def test_no_photos_are_no_error() -> None:
    assert find_duplicates([], np.zeros((0, 64)), look).total == 0
