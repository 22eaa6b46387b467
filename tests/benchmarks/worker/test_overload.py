from benchmarks.load.open_loop import Flood
from benchmarks.report.figures import Figures
from benchmarks.worker.overload import Run, page


def _page(
    *, strangers: float = 0.0, seconds: float = 30.0, times: float = 2.0, answering_s: float = 30.0
) -> str:
    good_s = [number / 100 for number in range(1, round(answering_s * 100) + 1)]
    flood = Flood(0.0, seconds, {200: len(good_s), 429: 1}, good_s, [2.0])
    peak = Figures(100.0, 300.0, 400.0, 1000, 0)
    return page(Run(strangers, peak, flood, peak, (700.0,) * 30), times)


def test_a_full_flood_on_a_quiet_machine_is_judged() -> None:
    assert "| 1.00 | at least 0.9 | met |" in _page()
    assert "| 0.33 | at least 0.9 | **missed** |" in _page(answering_s=10.0)


def test_a_short_or_disturbed_flood_is_not_judged() -> None:
    """Its figures are shown all the same."""
    for doubtful in (_page(seconds=5.0), _page(strangers=1.9), _page(times=1.5)):
        assert doubtful.count("not judged: ") == 2
        assert "| met" not in doubtful


def test_the_worst_seconds_stand_beside_the_goodput() -> None:
    assert "| the same in the worst 3 s of the flood | 0.00 |" in _page(answering_s=20.0)
