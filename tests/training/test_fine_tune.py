"""`--fine-tune`: the network in Keras is the graph's, and what becomes of it is what is served."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.conv_graphs import write_network
from tests.support.forked_workers import ForkedProcess, ForkedWorkers
from tests.support.graphs import MANIFEST, SIZE, write_model
from tests.support.photos import PHOTOS
from tests.support.waiting import eventually_sync
from tests.training.drawn_photos import Retrained, draw_photos
from tfleet.training.decoding import PhotoDecoder
from tfleet.training.fine_tune import run as fine_tune_run
from tfleet.training.fine_tune.augment import augmented
from tfleet.training.fine_tune.job import FineTuneJob, TrainingPlan
from tfleet.training.fine_tune.layers import read_layers
from tfleet.training.head import HeadTrainer, StartHead
from tfleet.training.head_graph import part_of
from tfleet.training.local_embedder import find_backbone, load_embedder
from tfleet.training.options import (
    BackboneOptions,
    EmbeddingFleetOptions,
    FineTuneOptions,
    ModelFolderOptions,
    RetrainOptions,
    SplitOptions,
)
from tfleet.training.progress import ProgressBars
from tfleet.training.run import Retrained as Made
from tfleet.training.run import retrain as run
from tfleet.training.softmax_regression import LinearHead
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.classifier import Classifier
from tfleet.worker.model.find import find_model

pytestmark = pytest.mark.process  # it loads TensorFlow and Keras


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small backbone."""
    return write_network(tmp_path_factory.mktemp("network") / "1")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that are hard to tell apart for the small backbone."""
    classes = {"round": ("ellipse", 30), "half": ("chord", 24)}
    return draw_photos(tmp_path_factory.mktemp("photos"), classes)


@dataclass
class Tuning:
    """Runs of retraining in this process. `changed` is done to their plans.

    `probabilities` are those of the test, as the last training gave them.
    """

    photos: Path
    network: Path
    folder: Path
    changed: Callable[[TrainingPlan], TrainingPlan]
    probabilities: Any = None

    def run(self) -> Made:
        options = RetrainOptions(
            min_confidence=None,
            serve=False,
            as_json=False,
            target=ModelFolderOptions(self.folder / "models", "m"),
            vectors=BackboneOptions(self.network, 2, 10**7, self.folder / "cache"),
            fleet=EmbeddingFleetOptions((), None),
            split=SplitOptions(20, 20, None),
            tuning=FineTuneOptions(True, 3, True),
        )
        with ProgressBars(lambda: 0.0, shown=False) as bars:
            return run(self.photos, options, bars)

    def child(self, job: FineTuneJob, report: Any) -> dict[str, Any]:
        from tfleet.training.fine_tune.tuning import tune  # noqa: PLC0415 - imports Keras

        figures = tune(replace(job, plan=self.changed(job.plan)), report)
        with np.load(job.result) as file:
            self.probabilities = file["probabilities"]
        return figures


@pytest.fixture
def tuning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, photos: Path, network: Path) -> Tuning:
    """What the child does is done in this process: it imports Keras only once."""
    found = Tuning(photos, network, tmp_path, lambda plan: replace(plan, learning_rate=0.01))
    monkeypatch.setattr(fine_tune_run, "run_child", found.child)
    return found


def _answers(made: Made, photos: Path) -> Any:
    """What the written model answers to the photographs of the test, and their vectors."""
    served = Classifier.load(find_model(made.folder))
    with closing(served):
        served.warm_up((1, 2))
        tested = [photos / each.path for each in made.results.photos if each.split == "test"]
        prepared = [served.prepare(each.read_bytes(), ImageLimits()) for each in tested]
        return served.run(prepared), served.embed(prepared)


def test_the_network_has_the_same_vectors_in_keras() -> None:
    from tfleet.training.fine_tune.rebuild import rebuild  # noqa: PLC0415 - imports Keras

    with closing(PhotoDecoder()) as decoder:
        with closing(load_embedder(find_backbone(None), decoder, None)) as embedder:
            part = part_of(embedder.classifier)
            read = read_layers(part.definition, part.image, part.embedding)
            images = [decoder.prepare(embedder.classifier, each.read_bytes()) for each in PHOTOS.values()]
            expected = embedder.classifier.embed(images)
    found = rebuild(read).predict_on_batch(np.stack(images))
    off = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert len(off) == 4
    assert off.max() < 1e-5


def test_what_was_trained_is_what_is_served(monkeypatch: pytest.MonkeyPatch, tuning: Tuning) -> None:
    start = HeadTrainer.start

    def worst(*given: Any) -> StartHead:
        """The contrary of the best head: any training is better."""
        head = start(*given).head
        return StartHead(LinearHead(-head.weights, -head.intercepts), 0.0)

    monkeypatch.setattr(HeadTrainer, "start", worst)
    made = tuning.run()
    figures = made.results.fine_tuning
    assert figures is not None
    assert figures.kept
    assert figures.losses.tuned < figures.losses.head
    found, _ = _answers(made, tuning.photos)
    assert len(found) > 6
    assert found == pytest.approx(tuning.probabilities, abs=1e-4)
    assert made.results.evaluation.accuracy == figures.accuracy
    written = json.loads((made.folder / "report.json").read_text())["fine_tuning"]
    assert written["kept"]
    assert "of them would be right without fine-tuning" in (made.folder / "report.html").read_text()
    served = Classifier.load(find_model(made.folder))
    with closing(served):  # the tuned network can be tuned again
        part = part_of(served)
        assert read_layers(part.definition, part.image, part.embedding).convolutions == 12


def test_what_is_no_better_is_not_kept(tuning: Tuning) -> None:
    tuning.changed = lambda plan: replace(plan, learning_rate=30.0)
    made = tuning.run()
    figures = made.results.fine_tuning
    assert figures is not None
    assert not figures.kept
    assert figures.losses.tuned > figures.losses.head
    assert made.results.evaluation.accuracy == figures.head_accuracy
    found, vectors = _answers(made, tuning.photos)
    assert np.abs(found - tuning.probabilities).max() > 0.1
    backbone = Classifier.load(find_model(tuning.network))
    with closing(backbone):
        tested = [tuning.photos / each.path for each in made.results.photos if each.split == "test"]
        prepared = [backbone.prepare(each.read_bytes(), ImageLimits()) for each in tested]
        assert np.array_equal(backbone.embed(prepared), vectors)


def test_a_head_that_is_too_sure_is_softened(monkeypatch: pytest.MonkeyPatch, tuning: Tuning) -> None:
    start = HeadTrainer.start

    def too_sure(*given: Any) -> StartHead:
        head = start(*given).head
        return StartHead(LinearHead(head.weights * 2000, head.intercepts * 2000), 0.0)

    monkeypatch.setattr(HeadTrainer, "start", too_sure)
    tuning.changed = lambda plan: replace(plan, learning_rate=0.0, epochs=1)
    figures = tuning.run().results.fine_tuning
    assert figures is not None
    assert figures.losses.tuned < figures.losses.head * 0.8  # though nothing was trained


def test_rates_grow_and_then_shrink_to_nothing() -> None:
    from tfleet.training.fine_tune.tuning import rates  # noqa: PLC0415 - imports Keras

    found = np.array([float(rates(0.01, 40)(step)) for step in range(41)])
    assert found[[0, 2, 4, 22, 40]] == pytest.approx([0, 0.005, 0.01, 0.005, 0], abs=1e-6)
    assert (np.diff(found[:5]) > 0).all()
    assert (np.diff(found[4:]) < 0).all()


def test_few_right_answers_make_it_no_surer_than_needed() -> None:
    from tfleet.training.fine_tune.tuning import judge  # noqa: PLC0415 - imports Keras

    classes = np.arange(30) % 3
    scores = 4 * np.eye(3, dtype=np.float32)[classes]
    right = judge(scores, classes)
    assert right.loss < 1e-6
    assert 1 < right.sureness < 2
    assert judge(scores, np.roll(classes, 1)).sureness < 0.1  # all of them wrong


def test_the_doubt_of_a_gain_is_its_standard_error() -> None:
    from tfleet.training.fine_tune.tuning import standard_error  # noqa: PLC0415 - imports Keras

    chance = np.random.default_rng(0)
    drawn = chance.exponential(0.01, (4000, 50))
    assert np.mean([standard_error(each) for each in drawn]) == pytest.approx(
        drawn.sum(axis=1).std(), rel=0.05
    )
    assert standard_error(drawn[0, :1]) is None


def test_augmented_photographs_keep_their_form() -> None:
    ramp = np.broadcast_to(np.linspace(0, 200, 32).astype(np.uint8)[None, None, :, None], (64, 32, 32, 3))
    found = augmented(ramp, np.random.default_rng(0), mirror=True)
    assert found.shape == ramp.shape
    assert found.dtype == np.float32
    rising = found[:, 0, -1, 0] > found[:, 0, 0, 0]
    assert 16 < rising.sum() < 48  # about half of them are mirrored
    as_it_was = augmented(ramp, np.random.default_rng(0), mirror=False)
    assert (as_it_was[:, 0, -1, 0] > as_it_was[:, 0, 0, 0]).all()
    spread = np.ptp(found, axis=(1, 2, 3))
    assert 0.55 * 200 < spread.min() < spread.max() <= 1.2 * 200


def test_a_child_trains(retrain: Callable[..., Retrained], photos: Path, network: Path) -> None:
    done = retrain(photos, "--name", "m", "--backbone", network, "--fine-tune", "--epochs", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)["fine_tuning"]
    assert (said["epochs"], said["best"]) == (1, 1)
    losses = said["losses"]
    assert said["kept"] == (losses["head"] - losses["tuned"] > losses["doubt"])


def test_ctrl_c_ends_the_child(forked: ForkedWorkers, photos: Path, network: Path, tmp_path: Path) -> None:
    options = (
        "--fine-tune",
        "--backbone",
        network,
        "--models",
        tmp_path / "models",
        "--cache",
        tmp_path / "c",
    )
    words = ["retrain", photos, "--name", "m", *options]
    process = ForkedProcess(forked, [*map(str, words)], str(tmp_path / "out"), {})
    try:
        eventually_sync(lambda: _trainers(tmp_path), timeout_s=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert not _trainers(tmp_path)
    assert "the vectors that were made are kept" in (tmp_path / "out").read_text()
    assert not list((tmp_path / "models" / "m").iterdir())


def _trainers(folder: Path) -> list[str]:
    """The processes that train in a folder below this one."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().decode(errors="replace")
        except OSError:  # it has ended
            continue
        if "tune_main" in words and f"{folder}/models" in words:
            found.append(words)
    return found


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("shares", "cannot rebuild this backbone in Keras: "),
        ("network", "needs photographs to validate with"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(
    retrain: Callable[..., Retrained], network: Path, tmp_path: Path, shape: str, message: str
) -> None:
    root = draw_photos(tmp_path / "photos", {"lines": ("stripes", 1), "round": ("ellipse", 1)})
    if shape == "shares":
        manifest = f'{MANIFEST}embedding = "shares:0"\n'.replace("[output]", f"size = {SIZE}\n[output]")
        network = write_model(tmp_path / "shares" / "1", manifest=manifest)
    done = retrain(root, "--name", "m", "--fine-tune", "--backbone", network)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert message in done.stderr
