"""The model of a worker is loaded, warm and well told of."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphs import write_model, write_saved_model
from tests.support.pictures import write_labels
from tfleet.worker.inference.load import load_warm
from tfleet.worker.inference.loaded_model import LoadedModel
from tfleet.worker.inference.precision import Tuning, cpu_obstacle
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.model import find_model

pytestmark = pytest.mark.process


class Told:
    """The log, and what it was told."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, Any]] = {}

    def info(self, event: str, **about: Any) -> None:
        self.lines[event] = about


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[list[LoadedModel]]:
    """What a test has loaded: closed at the end, and the collector as it was."""
    loaded: list[LoadedModel] = []
    yield loaded
    gc.unfreeze()
    for classifier in loaded:
        classifier.close()


def test_the_log_has_the_times_cpus_and_precision(tmp_path: Path, loaded: list[LoadedModel]) -> None:
    metrics, log = WorkerMetrics(), Told()
    spec = find_model(write_model(tmp_path / "m" / "1"))
    loaded.append(load_warm(spec, Tuning(3, "float32", 0.05), (1, 2), metrics, log))
    told = log.lines["model loaded"]
    assert told.pop("seconds").keys() == {"import", "load", "warm-up"}
    assert told.pop("batch_sizes") == loaded[0].batch_sizes
    assert told == {"form": "", "cpus": 3, "precision": "float32", "because": "requested"}
    text = metrics.text().decode()
    assert "tfleet_worker_cpus 3.0" in text
    assert 'tfleet_worker_precision{precision="float32"} 1.0' in text
    assert 'tfleet_worker_start_seconds{part="warm-up"}' in text


@pytest.mark.skipif(not cpu_obstacle(Path("/proc/cpuinfo").read_text()), reason="this CPU has bfloat16")
def test_on_a_cpu_without_bfloat16_auto_says_so(tmp_path: Path, loaded: list[LoadedModel]) -> None:
    log = Told()
    spec = find_model(write_model(tmp_path / "m" / "1"))
    loaded.append(load_warm(spec, Tuning(1, "auto", 0.05), (1,), WorkerMetrics(), log))
    told = log.lines["model loaded"]
    assert told["precision"] == "float32"
    assert told["because"].startswith("this CPU has no bfloat16 instructions")


def test_the_log_says_that_a_saved_model_was_frozen(tmp_path: Path, loaded: list[LoadedModel]) -> None:
    log = Told()
    folder = write_saved_model(tmp_path / "m" / "1")
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nstd = 255\n")
    loaded.append(load_warm(find_model(folder), Tuning(1, "float32", 0.05), (1,), WorkerMetrics(), log))
    assert log.lines["model loaded"]["form"] == "a SavedModel, frozen"


def test_the_loaded_model_is_exempt_from_garbage_collection(
    tmp_path: Path, loaded: list[LoadedModel]
) -> None:
    before = gc.get_freeze_count()
    spec = find_model(write_model(tmp_path / "m" / "1"))
    loaded.append(load_warm(spec, Tuning(1, "float32", 0.05), (1,), WorkerMetrics(), Told()))
    assert gc.get_freeze_count() > before
