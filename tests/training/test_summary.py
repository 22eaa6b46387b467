"""What a run says at its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.retrain_results import some_results
from tfleet.training.results import Copies, Duplicates, Photo, Split
from tfleet.training.run import Retrained
from tfleet.training.summary import summary_lines


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        ((("a", Split.TRAIN), ("a", Split.TRAIN)), ""),
        ((("a", Split.TEST), ("b", Split.TEST)), ", 1 of them in several classes"),
        (
            (("a", Split.TEST), ("a", Split.VALIDATION)),
            "; 1 in the test and elsewhere, so the accuracy is too good",
        ),
    ],
)
def test_copies_are_told_with_what_they_spoil(photos: tuple[tuple[str, Split], ...], said: str) -> None:
    group = Copies(tuple(Photo("1.jpg", label, "0", 1, split) for label, split in photos), exact=True)
    results = replace(some_results(), duplicates=Duplicates((group,), 1))
    lines = list(summary_lines(Retrained(results, Path("models/m/1")), serves=True))
    assert [each for each in lines if each.startswith("copies")] == [
        f"copies     1 picture in several files{said}"
    ]
