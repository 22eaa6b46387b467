from dataclasses import replace

from benchmarks.report.figures import Figures
from benchmarks.report.spread import Spread
from benchmarks.worker.batch_strategies import SERIAL, Strategy
from benchmarks.worker.round_figures import Cell, Round, ceiling_way, failed, spread

_CELL = Cell("worker", "35 kB", 1)


def _round(single: float, per_second: float, failures: int = 0) -> Round:
    return Round(
        0.0, {SERIAL: single}, 10.0, 50.0, {}, {_CELL: Figures(per_second, 1.0, 2.0, 10, failures)}, 1.0
    )


def test_a_ratio_is_taken_within_a_round() -> None:
    rounds = [_round(100, 90), _round(50, 40), _round(200, 190)]
    found = spread(rounds, lambda one: one.cells[_CELL].per_second / one.ways[SERIAL])
    assert found == Spread(0.9, 0.8, 0.95)


def test_the_ceiling_has_the_fastest_median_round() -> None:
    lucky, steady = Strategy(4, 2, 0), Strategy(8, 2, 0)
    rates = [(90.0, 60.0), (50.0, 61.0), (52.0, 59.0)]
    assert ceiling_way([replace(_round(1, 1), ways={lucky: a, steady: b}) for a, b in rates]) == steady


def test_failed_requests_and_cells_without_an_answer_are_found() -> None:
    assert failed([_round(1, 1)]) == {}
    assert failed([_round(1, 1, 2), _round(1, 1, 3)]) == {_CELL: 5}
    assert failed([_round(1, 0)]) == {_CELL: 0}
