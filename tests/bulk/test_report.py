from __future__ import annotations

import pytest

from tfleet.bulk.report import InputSize, Speed, duration, summary_document, summary_lines
from tfleet.bulk.sources.source import InputPlace
from tfleet.bulk.tally import Tally


def test_the_share_goes_by_rows_where_all_are_known() -> None:
    size = InputSize([100, 300], [1, 1])
    assert size.share(InputPlace(), 0) == 0
    assert size.share(InputPlace(1, 100), 0) == 0.5


def test_the_share_goes_by_bytes_elsewhere() -> None:
    size = InputSize([None, 300], [1000, 1000])
    assert size.share(InputPlace(0, 7, 500), 0) == 0.25


def test_a_limit_may_end_before_the_input() -> None:
    assert InputSize([1000], [1], limit=10).share(InputPlace(0, 5), 5) == 0.5


def test_an_empty_input_is_done() -> None:
    assert InputSize([0], [0]).share(InputPlace(), 0) == 1


def test_speed_counts_only_rows_of_this_run() -> None:
    speed = Speed(began_s=100.0, began_rows=5000, began_share=0.5)
    assert speed.text(110.0, 6000, 0.6) == "100 rows/s, 0:40 left"
    assert speed.text(110.0, 5000, 0.5) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (7384, "2:03:04")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


TOTAL = Tally(1200, 200, {"cat": 900, "dog": 100}, {"column 'x': no value": 200}, (0,) * 9 + (1000,))


def test_the_summary_names_what_counts() -> None:
    lines = list(summary_lines(TOTAL, "out", 2.0, 1000))
    assert lines[:3] == [
        "output      out",
        "rows        1,200: 1,000 scored, 200 failed",
        "time        2.0 s (500 rows/s)",
    ]
    assert [line.split() for line in lines if " cat" in line or "no value" in line] == [
        ["900", "█" * 30, "cat"],
        ["200", "█" * 30, "column", "'x':", "no", "value"],
    ]
    assert lines[-1].split() == ["1,000", "█" * 30, "0.9", "to", "1.0"]


def test_many_labels_are_cut_and_counted() -> None:
    labels = {f"label {number:03}": 1 for number in range(100)}
    lines = list(summary_lines(Tally(100, 0, labels), "out", 0.0, 0))
    assert lines[-1].split() == ["80", "others"]


def test_the_document_has_the_same() -> None:
    assert summary_document(TOTAL, "out", 2.0, 1000) == {
        "output": "out",
        "rows": 1200,
        "scored": 1000,
        "failed": 200,
        "labels": {"cat": 900, "dog": 100},
        "errors": {"column 'x': no value": 200},
        "confidence": [0] * 9 + [1000],
        "seconds": 2.0,
        "rows_per_s": 500.0,
    }
