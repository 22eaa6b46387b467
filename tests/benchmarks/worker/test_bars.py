import pytest

from benchmarks.report.bar import Bar
from benchmarks.report.figures import Figures
from benchmarks.report.spread import Spread
from benchmarks.worker.bars import bars
from benchmarks.worker.batch_strategies import SERIAL, Strategy
from benchmarks.worker.measure import cells_of
from benchmarks.worker.round_figures import Round
from benchmarks.worker.subjects import FLASK, LITSERVE, PROXY, UNBATCHED, WORKER, WORKER_BFLOAT16

pytestmark = pytest.mark.process


def _bar(middle: float, least: float | None, most: float | None) -> tuple[bool, str, str]:
    bar = Bar("images/s", least, most, Spread(middle, 0, 1000), " ms")
    return bar.met, bar.bound, bar.verdict


def test_a_bar_says_whether_it_is_met_and_by_how_much() -> None:
    assert _bar(1.0, 0.8, None) == (True, "at least 0.8 ms", "met by 25.0%")
    assert _bar(0.6, 0.8, None) == (False, "at least 0.8 ms", "**missed** by 25.0%")
    assert _bar(20, None, 25) == (True, "at most 25 ms", "met by 20.0%")
    assert _bar(30, None, 25) == (False, "at most 25 ms", "**missed** by 20.0%")


def _rounds(*more: str) -> list[Round]:
    """Every figure is the one that the rest is held against, but for the worker's."""
    cells = {}
    for cell in cells_of((WORKER, UNBATCHED, PROXY, FLASK, LITSERVE, *more)):
        worker = cell.subject == WORKER
        cells[cell] = Figures(120 if worker else 100, 11 if worker else 10, 0, 1, 0)
    return [Round(0.0, {SERIAL: 100.0, Strategy(4, 2, 2): 125.0}, 10.0, 90.0, {"12 MP": 26.0}, cells, 1.6)]


def test_a_worker_has_a_bar_for_each_comparison() -> None:
    """The bars: the ceiling, the best peer, one image at a time, and the worker itself without batches."""
    assert [round(bar.found.middle, 2) for bar in bars(_rounds())] == [1.2, 0.96, 1.2, 1.1, 1.1, 26, 9, 1.6]
    assert [bar.met for bar in bars(_rounds())] == [True, True, True, True, False, False, True, False]


def test_bfloat16_has_a_bar_where_it_was_measured() -> None:
    assert bars(_rounds(WORKER_BFLOAT16))[-1].found.middle == 1.0
