"""Which epoch of a fine-tuning counts, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.retrain_results import some_results
from tfleet.training.evaluation import wilson
from tfleet.training.fine_tune.best_epoch import BestEpoch
from tfleet.training.progress import TuningProgress, tuning_text
from tfleet.training.report import report_page
from tfleet.training.report_sections import percent
from tfleet.training.results import FineTuning, TuningLosses
from tfleet.training.run import Retrained
from tfleet.training.summary import summary_lines

_KEPT = FineTuning(True, 7, 4, TuningLosses(1.5, 1.25, 0.1), wilson(6, 10), wilson(7, 10), 83.0)


def test_the_epoch_with_the_smallest_loss_counts() -> None:
    epochs = BestEpoch()
    assert [epochs.add(loss) for loss in (3.0, 2.0, 2.0, 2.5, 1.5)] == [True, True, False, False, True]
    assert (epochs.epoch, epochs.best, epochs.loss) == (5, 5, 1.5)


def test_progress_says_the_epoch_and_the_time_left() -> None:
    assert tuning_text(TuningProgress(2, 30, 200), 15) == "epoch 2, 1:25 left"


@pytest.mark.parametrize(
    ("loss", "doubt", "better"),
    [(0.8, 0.1, True), (0.95, 0.1, False), (1.2, 0.1, False), (0.1, None, False)],
)
def test_a_gain_that_chance_easily_makes_is_none(loss: float, doubt: float | None, better: bool) -> None:
    assert TuningLosses(1.0, loss, doubt).better == better


@pytest.mark.parametrize(
    ("kept", "verdict"), [(True, "kept: "), (False, "not clearly better, so the model has the head alone: ")]
)
def test_the_summary_has_both_accuracies(kept: bool, verdict: str) -> None:
    results = replace(some_results(), fine_tuning=replace(_KEPT, kept=kept))
    lines = list(summary_lines(Retrained(results, Path("models/m/1")), serves=True))
    (line,) = [each for each in lines if each.startswith("fine-tune  ")]
    assert line == (
        f"fine-tune  {verdict}loss on validation 1.250, and 1.500 by the head alone; of the test 7 of 10 "
        "(70.0 %) are right, and 6 of 10 (60.0 %) by the head alone; 83 s for 7 epochs"
    )


def test_the_report_has_the_other_accuracy() -> None:
    results = replace(some_results(), fine_tuning=_KEPT)
    page = report_page(results, {})
    assert percent(_KEPT.head_accuracy) in page
    assert "of them would be right without fine-tuning" in page
    assert "epoch 4 of 7 was the best; 1 min 23 s" in page
    page = report_page(replace(results, fine_tuning=replace(_KEPT, kept=False)), {})
    assert percent(_KEPT.accuracy) in page
    assert "which was not kept" in page
    assert "fine-tun" not in report_page(some_results(), {}).lower()
