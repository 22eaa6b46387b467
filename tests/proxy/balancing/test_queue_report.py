import pytest

from tfleet.proxy.balancing.worker_table import QueueReport, read_report


@pytest.mark.parametrize(
    ("in_flight", "length", "age_s", "load"),
    [
        (0, 7, 0.0, 7),
        (3, 7, 0.5, 7),
        (9, 7, 0.0, 9),
        (3, 0, 0.0, 3),
        (3, 7, 0.999, 7),
        (3, 7, 1.0, 3),
        (0, 7, 60.0, 0),
    ],
)
def test_the_load_is_the_larger_of_in_flight_and_reported(
    in_flight: int, length: int, age_s: float, load: int
) -> None:
    """A report counts for a second."""
    assert QueueReport(length, at_s=100.0).load(in_flight, 100.0 + age_s) == load


def test_a_report_is_a_plain_number() -> None:
    assert read_report("12", 5.0) == QueueReport(12, 5.0)


@pytest.mark.parametrize(
    "text", [None, "", "-1", "+1", "1.5", "1e3", " 1", "1, 2", "many", "\u0663", "9" * 16]
)
def test_an_invalid_queue_report_is_ignored(text: str | None) -> None:
    assert read_report(text, 5.0) is None
