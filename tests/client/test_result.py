from __future__ import annotations

import pytest

from tfleet.client import BadImageError, Classification, Outcome, Prediction, Timing

CAT = Classification((Prediction("tabby", 0.5),), "w", "m/1", "r", Timing(), 1.0)


def test_the_result_of_an_outcome_is_its_classification() -> None:
    assert Outcome("cat.jpg", classification=CAT).result() is CAT


def test_the_result_of_a_failure_is_its_error() -> None:
    with pytest.raises(BadImageError, match="no image"):
        Outcome("notes.txt", error=BadImageError("no image")).result()


def test_an_outcome_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        CAT.worker = "other"  # type: ignore[misc] # that it is refused is what is tested
