"""The command `tfleet retrain`, and folders of photographs that are drawn for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.forked_workers import ForkedWorkers, forked_workers
from tests.training.drawn_photos import Retrained

_IMPORTS = ("tfleet.training.command", "tfleet.training.head_graph", "tfleet.worker.inference.open_model")


@pytest.fixture(scope="session")
def forked() -> Iterator[ForkedWorkers]:
    """What forks a process for each run. To import TensorFlow in each of them takes longer than most runs."""
    with forked_workers(*_IMPORTS) as found:
        yield found


@pytest.fixture
def retrain(forked: ForkedWorkers, tmp_path: Path) -> Callable[..., Retrained]:
    """Run `tfleet retrain` with these arguments, and a cache and a folder of models for this test."""
    kept = ("--cache", tmp_path / "cache", "--models", tmp_path / "models")
    return partial(forked.run, "retrain", *kept)
