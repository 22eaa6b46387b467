"""What a run says while it goes on."""

from __future__ import annotations

import pytest

from tfleet.training.progress import PartsProgress, clock_text, parts_text, pass_text
from tfleet.training.vectors import PassProgress


def test_the_pass_says_its_pace_and_the_time_left() -> None:
    assert pass_text(PassProgress(1200, 3670, 1000), 14) == "1,200 of 3,670 photographs, 86/s, 0:29 left"
    assert pass_text(PassProgress(0, 3670, 0), 14) == "0 of 3,670 photographs"


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (PartsProgress(2, 5), "2 of 5, 1:15 left"),
        (PartsProgress(0, 5), "0 of 5"),
        (PartsProgress(5, 5), "5 of 5, 0:00 left"),
        (PartsProgress(2, 12, alike=False), "2 of 12 at most"),
    ],
)
def test_a_step_says_its_parts_and_the_time_left(progress: PartsProgress, text: str) -> None:
    assert parts_text(progress, 50) == text


def test_more_than_an_hour_has_hours() -> None:
    assert [clock_text(each) for each in (7.2, 599.6, 3723)] == ["0:07", "10:00", "1:02:03"]
