"""A load that has too few answers for a rate lasts longer."""

from benchmarks.load.enough import enough
from benchmarks.report.figures import Figures


def test_a_load_with_too_few_answers_runs_longer() -> None:
    asked_s: list[float] = []

    def load(seconds: float) -> Figures:
        asked_s.append(seconds)
        return Figures(10.0 if seconds >= 16 else 0.0, 1.0, 2.0, 3, 0)

    assert enough(load, 4.0).per_second == 10.0
    assert asked_s == [4, 8, 16]


def test_a_load_without_any_answer_is_not_repeated() -> None:
    asked_s: list[float] = []

    def load(seconds: float) -> Figures:
        asked_s.append(seconds)
        return Figures(0.0, 0.0, 0.0, 0, 5)

    assert enough(load, 4.0).failed == 5
    assert asked_s == [4]
