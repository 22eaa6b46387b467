from __future__ import annotations

import pytest

from tfleet.deploy.local.terminal import Progress


def test_a_change_is_news_at_once_and_only_once() -> None:
    progress = Progress(wanted=2)
    assert [progress.news(ready, 1.0) for ready in (0, 1, 1, 2, 2)] == [False, True, False, True, False]
    assert progress.complete


def test_without_a_change_there_is_ever_less_news() -> None:
    progress = Progress(wanted=1)
    assert [second for second in range(100) if progress.news(0, float(second))] == [5, 10, 20, 40, 80]
    assert not progress.complete


def test_time_that_jumps_is_said_once() -> None:
    progress = Progress(wanted=1)
    assert progress.news(0, 1000.0)
    assert not progress.news(0, 1001.0)


@pytest.mark.parametrize(("elapsed_s", "pause_s"), [(0.0, 0.25), (2.5, 0.25), (100.0, 10.0)])
def test_looks_become_rarer(elapsed_s: float, pause_s: float) -> None:
    assert Progress.pause_s(elapsed_s) == pause_s
