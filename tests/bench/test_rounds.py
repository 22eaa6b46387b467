from tests.bench.figures import Figures
from tests.bench.rounds import Cell, Round, Spread, failed, spread

_CELL = Cell("worker", "35 kB", 1)


def _round(ceiling: float, per_second: float, failures: int = 0) -> Round:
    return Round(0.0, ceiling, 10.0, 50.0, {}, {_CELL: Figures(per_second, 1.0, 2.0, 10, failures)}, 1.0)


def test_a_ratio_is_taken_within_a_round() -> None:
    rounds = [_round(100, 90), _round(50, 40), _round(200, 190)]
    found = spread(rounds, lambda one: one.cells[_CELL].per_second / one.ceiling_per_second)
    assert found == Spread(0.9, 0.8, 0.95)


def test_failed_requests_and_cells_without_an_answer_are_found() -> None:
    assert failed([_round(1, 1)]) == {}
    assert failed([_round(1, 1, 2), _round(1, 1, 3)]) == {_CELL: 5}
    assert failed([_round(1, 0)]) == {_CELL: 0}
