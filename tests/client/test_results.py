from __future__ import annotations

import pytest

from tfleet.client import BadImageError, Classification, Outcome, Prediction, Timing
from tfleet.client.results import parse_server_timing

CAT = Classification((Prediction("tabby", 0.5),), "w", "m/1", "r", Timing(), 1.0)


def test_the_result_of_an_outcome_is_its_classification() -> None:
    assert Outcome("cat.jpg", classification=CAT).result() is CAT


def test_the_result_of_a_failure_is_its_error() -> None:
    with pytest.raises(BadImageError, match="no image"):
        Outcome("notes.txt", error=BadImageError("no image")).result()


def test_an_outcome_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        CAT.worker = "other"  # type: ignore[misc] # that it is refused is what is tested


@pytest.mark.parametrize(
    ("header", "timing"),
    [
        ("decode;dur=2.1, queue;dur=0.0, infer;dur=8.3", Timing(2.1, 0.0, 8.3)),
        ('infer;desc="the graph";dur=8', Timing(infer_ms=8.0)),
        ("infer; dur = 8.5 ;desc=x", Timing(infer_ms=8.5)),
        ('queue;dur="3"', Timing(queue_ms=3.0)),
        ("infer;dur=1, infer;dur=2", Timing(infer_ms=1.0)),
        ("cache;dur=1, miss, decode, infer;dur=soon, queue;dur=-1", Timing()),
        ("", Timing()),
    ],
)
def test_unreadable_entries_are_skipped(header: str, timing: Timing) -> None:
    assert parse_server_timing(header) == timing
