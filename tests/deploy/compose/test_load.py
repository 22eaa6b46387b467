from __future__ import annotations

import pytest

from tests.deploy.compose.pretend import page
from tfleet.deploy.compose.load import LoadCounters, WorkerLoad, load_between, read_counted


def test_busy_seconds_and_both_queues_are_read_from_the_metrics() -> None:
    assert read_counted(page(12.5, 7), at_s=3.0) == LoadCounters(12.5, 7, 3.0)
    assert read_counted(page(1.5e-05, 0), at_s=3.0) == LoadCounters(1.5e-05, 0, 3.0)


@pytest.mark.parametrize(
    "text", ["", "<html>", page(1, 2).replace("busy", "lazy"), page(1, 2).replace("1.0", "many")]
)
def test_a_missing_figure_is_unknown(text: str) -> None:
    assert read_counted(text, at_s=3.0) is None


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (LoadCounters(10, 0, 100), LoadCounters(15, 3, 120), WorkerLoad(0.25, 3)),
        (LoadCounters(10, 9, 100), LoadCounters(10, 0, 120), WorkerLoad(0.0, 0)),
        (
            LoadCounters(10, 0, 100),
            LoadCounters(30.5, 0, 120),
            WorkerLoad(1.0, 0),
        ),  # clocks are not that exact
        (LoadCounters(10, 0, 100), LoadCounters(9.9, 0, 120), WorkerLoad(0.0, 0)),
        (LoadCounters(10, 0, 100), LoadCounters(10, 0, 100), None),
        (None, LoadCounters(10, 0, 100), None),
        (LoadCounters(10, 0, 100), None, None),
    ],
)
def test_a_load_needs_two_looks(
    before: LoadCounters | None, now: LoadCounters | None, expected: WorkerLoad | None
) -> None:
    assert load_between(before, now) == expected
