"""A model without images is loaded, warmed up and asked, and keeps its state to its clients."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.graphs import write_graph
from tests.support.tensor_models import write_arithmetic, write_counter, write_loop, write_vocabulary
from tfleet.worker.inference.load import load_warm
from tfleet.worker.inference.loaded_model import LoadedModel
from tfleet.worker.inference.precision import Tuning
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


class Said:
    """The log, and what it was told."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.warnings: list[str] = []

    def info(self, event: str, **about: Any) -> None:
        self.events[event] = about

    def warning(self, event: str, **about: Any) -> None:
        self.warnings.append(event)
        self.info(event, **about)


Load = Callable[[Path], tuple[LoadedModel, Said]]


@pytest.fixture
def load() -> Iterator[Load]:
    loaded: list[LoadedModel] = []

    def load(path: Path) -> tuple[LoadedModel, Said]:
        log = Said()
        tuning = Tuning(2, "auto", 0.05)
        loaded.append(load_warm(find_model(path), tuning, (1, 2, 4), WorkerMetrics(), log))
        return loaded[-1], log

    yield load
    for model in loaded:
        model.close()


def test_a_table_model_is_described_and_batched(tmp_path: Path, load: Load) -> None:
    model, log = load(write_arithmetic(tmp_path / "sums" / "1"))
    assert model.classifier is None
    assert log.events["model described"] == {
        "kind": "table (from the model)",
        "signature": "serving_default (from the model)",
        "inputs": ["a float32[?]", "b float32[?]"],
        "outputs": ["diff float32[?]", "sum float32[?]"],
        "signatures": ["mixed", "scalar", "serving_default"],
    }
    assert model.predictor.batched == {"serving_default", "mixed"}
    assert log.events["rows run one by one"]["signature"] == "scalar"
    assert tuple(model.batch_sizes) == (1, 2, 4)
    one = np.ones(1, np.float32)
    assert model.predictor("serving_default", {"a": one, "b": one}, rows=1).outputs["sum"] == 2


def test_a_text_model_with_a_table_is_batched(tmp_path: Path, load: Load) -> None:
    model, log = load(write_vocabulary(tmp_path / "m"))
    assert log.events["model described"]["kind"] == "text (from the model)"
    assert "HashTableV2" in log.events["model loaded"]["form"]
    assert model.predictor.batched == {"serving_default"}


def test_a_stateful_model_starts_with_its_saved_state(tmp_path: Path, load: Load) -> None:
    model, log = load(write_counter(tmp_path / "m"))
    assert log.events["model described"]["stateful"] == "True (from the model)"
    assert model.predictor.batched == frozenset()
    outputs = model.predictor("serving_default", {"x": np.ones(1, np.float32)}, rows=1).outputs
    assert outputs["total"] == 1


def test_a_scalar_beside_rows_means_no_batches(tmp_path: Path, load: Load) -> None:
    model, log = load(write_loop(tmp_path / "loop.pb"))
    assert log.events["model described"]["kind"] == "tensors (from the model)"
    assert log.events["rows run one by one"]["because"] == "not all of its inputs and outputs have rows"
    assert tuple(model.batch_sizes) == (1,)
    assert "open" in repr(model)


def test_a_model_that_mixes_its_rows_answers_one_by_one(tmp_path: Path, load: Load) -> None:
    def build() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        tf.subtract(x, tf.reduce_mean(x, 0), name="y")

    model, log = load(write_graph(tmp_path / "g.pb", build))
    assert log.events["rows run one by one"]["because"] == "y is different in a batch"
    assert model.predictor.batched == frozenset()


def test_a_model_that_mixes_large_rows_answers_one_by_one(tmp_path: Path, load: Load) -> None:
    def build() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        tf.subtract(x, tf.maximum(tf.reduce_max(x, 0), 100.0), name="y")

    model, log = load(write_graph(tmp_path / "g.pb", build))
    because = log.events["rows run one by one"]["because"]
    assert because == "y is different in a batch of floats around 1000 and -1000"
    assert model.predictor.batched == frozenset()


def test_batches_are_off_where_model_toml_says_so(tmp_path: Path, load: Load) -> None:
    folder = write_arithmetic(tmp_path / "sums" / "1")
    (folder / "model.toml").write_text("[model]\nbatch = false\n")
    model, log = load(folder)
    assert log.events["model described"]["batch"] == "False (from model.toml)"
    assert model.predictor.batched == frozenset()
    assert tuple(model.batch_sizes) == (1,)


def test_a_model_that_never_runs_is_refused(tmp_path: Path, load: Load) -> None:
    def build() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        tf.multiply(x, tf.Variable(1.0), name="y")

    with pytest.raises(ModelError, match=r"the graph does not run: .*[Uu]ninitialized|FailedPrecondition"):
        load(write_graph(tmp_path / "g.pb", build))


def test_inputs_that_fit_nothing_are_no_reason_to_fail(tmp_path: Path, load: Load) -> None:
    def build() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        with tf.control_dependencies([tf.debugging.assert_greater(x, 5.0)]):
            tf.identity(x, name="y")

    model, log = load(write_graph(tmp_path / "g.pb", build))
    warning = log.events["no generated input fits a signature, so it was not warmed up"]
    assert warning["hint"] == "put examples.json into the model's folder"
    assert model.predictor("serving_default", {"x": np.full(1, 6, np.float32)}, rows=1).outputs["y"] == 6


def test_files_that_nobody_reads_are_warned_of(tmp_path: Path, load: Load) -> None:
    said = "files beside the model are not read, since other models are there too"
    model = write_loop(tmp_path / "one.pb")
    (tmp_path / "model.toml").write_text("[model]\nstateful = true\n")
    assert said not in load(model)[1].events, "it is the only model, so they are read"
    write_loop(tmp_path / "two.pb")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    _, log = load(model)
    assert log.events[said] == {
        "files": ["labels.txt", "model.toml"],
        "hint": "move the model and its files to a folder of their own",
    }
    assert said in log.warnings


def test_bfloat16_is_for_models_that_take_images(tmp_path: Path, load: Load) -> None:
    _, log = load(write_arithmetic(tmp_path / "m"))
    assert log.events["model loaded"]["precision"] == "float32"
    assert "this model takes none" in log.events["model loaded"]["because"]
