from dataclasses import replace

from benchmarks.jobs.page import JobFigures, Lost, Rates, jobs_page
from benchmarks.report.spread import Spread

FIGURES = JobFigures(
    direct_ms=Spread(2.0, 1.9, 2.1),
    queued_ms=Spread(5.0, 4.9, 5.2),
    usual_ms=Spread(380.0, 370.0, 390.0),
    added_ms=Spread(3.0, 2.9, 3.1),
    usual_added_ms=Spread(378.0, 368.0, 388.0),
    rates=Rates(1000.0, 400.0, 250.0),
    lost=Lost(320, 64, 0),
)


def test_the_page_has_rates_beside_direct_ones() -> None:
    lines = jobs_page(FIGURES, "--rounds 3", "redis 8").splitlines()
    assert "| `?queue=1`, 32 connections | 400 | 0.40 |" in lines
    assert "| the usual list | 64 |" in lines


def test_each_bar_has_its_verdict() -> None:
    good = jobs_page(FIGURES, "", "")
    assert "| at most 5 | 3 (2.9 to 3.1) | met |" in good
    assert "| images lost by our queue | at most 0 | 0 | met |" in good
    bad = jobs_page(replace(FIGURES, added_ms=Spread(6.0, 5.0, 7.0), lost=Lost(320, 64, 1)), "", "")
    assert bad.count("**missed**") == 2
