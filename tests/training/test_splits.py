"""The content of a photograph decides what it is used for."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfleet.training.results import Split
from tfleet.training.splits import Shares, SplitPhoto, split_photos, unit_of


def _photos(label: str, count: int, *, start: int = 0) -> list[SplitPhoto]:
    digests = (
        hashlib.sha256(f"{label} {number}".encode()).hexdigest() for number in range(start, start + count)
    )
    return [SplitPhoto(label, digest) for digest in digests]


def _parts(photos: list[SplitPhoto], shares: Shares = Shares()) -> dict[SplitPhoto, Split]:  # noqa: B008 - frozen
    return dict(zip(photos, split_photos(photos, shares), strict=True))


def test_the_shares_are_those_that_were_asked_for() -> None:
    parts = Counter(split_photos(_photos("a", 5000) + _photos("b", 5000), Shares(0.2, 0.1)))
    assert abs(parts[Split.VALIDATION] - 2000) < 200
    assert abs(parts[Split.TEST] - 1000) < 150


def test_adding_and_moving_changes_no_other() -> None:
    """retrain.py hashed paths: in a moved folder, photographs of the training became those of the test."""
    before = _parts(_photos("a", 60) + _photos("b", 60))
    after = _parts(list(reversed(_photos("a", 90) + _photos("b", 60) + _photos("c", 3))))
    assert {photo: after[photo] for photo in before} == before


def test_a_class_of_three_trains_and_validates() -> None:
    """Of retrain.py's classes, one without validation photographs ended the run by a division by zero."""
    for start in range(200):
        parts = set(_parts(_photos("a", 3, start=start)).values())
        assert {Split.TRAIN, Split.VALIDATION} <= parts


def test_a_share_that_rounds_to_none_leaves_training() -> None:
    """Keras gave all photographs to the validation where its share was less than one."""
    assert Counter(split_photos(_photos("a", 2) + _photos("b", 2), Shares(0.01, 0.0))) == {
        Split.TRAIN: 2,
        Split.VALIDATION: 2,
    }


def test_a_single_photograph_is_trained_with() -> None:
    for start in range(50):
        assert list(_parts(_photos("a", 1, start=start)).values()) == [Split.TRAIN]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=60),
    st.floats(0, 0.45),
    st.floats(0, 0.45),
)
def test_groups_stay_whole_and_training_is_never_empty(
    pairs: list[tuple[str, int]], validation: float, test: float
) -> None:
    photos = [SplitPhoto(label, f"group {group}") for label, group in pairs]
    parts = split_photos(photos, Shares(validation, test))
    of_unit = {photo.unit: part for photo, part in zip(photos, parts, strict=True)}
    assert parts == [of_unit[photo.unit] for photo in photos]
    trained = {photo.label for photo, part in zip(photos, parts, strict=True) if part is Split.TRAIN}
    assert trained == {photo.label for photo in photos}


@pytest.mark.parametrize(
    ("name", "pattern", "unit"),
    [
        ("roses/1.jpg", None, "digest"),
        ("roses/bush_nohash_1.jpg", None, "group roses/bush"),
        ("roses/cam1_7.jpg", r"cam\d+", "group cam1"),
        ("roses/cam1_7.jpg", r"/(cam\d+)_", "group cam1"),
        ("roses/other.jpg", r"cam\d+", "digest"),
        ("roses/bush_nohash_1.jpg", r"cam\d+", "digest"),
        ("roses/cam1_7.jpg", r"x*", "digest"),
        ("roses/cam1_7.jpg", r"(dog\d+)|cam", "digest"),
    ],
)
def test_names_say_which_belong_together(name: str, pattern: str | None, unit: str) -> None:
    assert unit_of(name, "digest", None if pattern is None else re.compile(pattern)) == unit
