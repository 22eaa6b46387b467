"""A fleet's vectors are used where they are those of the model here, and a busy fleet is waited for."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfleet.client.errors import (
    BadImageError,
    BusyError,
    FleetError,
    FleetUnavailableError,
    UnexpectedAnswerError,
)
from tfleet.client.results import ImageVector, Timing, VectorOutcome
from tfleet.training.errors import CannotRetrainError, RetrainFailedError
from tfleet.training.fleet_vectors import FleetEmbedder, Pauses
from tfleet.worker.model.embedding import vector_space
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec

pytestmark = pytest.mark.process  # to know of an embedding imports TensorFlow


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"a graph")
    return ModelSpec("lite0", "1", path, (), InputSpec(), OutputSpec(embedding="pooled:0"))


class Fleet:
    """A client whose fleet answers with the length of an image, after the failures that it is told of."""

    proxy = "http://fleet"

    def __init__(self, space: str, *failures: FleetError) -> None:
        self.space = space
        self.failures = list(failures)
        self.asked = 0
        self.closed = threading.Event()
        self.numbers = 2

    async def vector_outcome(self, photo: bytes) -> VectorOutcome[bytes]:
        self.asked += 1
        if self.failures:
            return VectorOutcome(photo, error=self.failures.pop(0))
        vector = array("f", [len(photo), *[0.5] * (self.numbers - 1)])
        found = ImageVector(vector, self.space, "w1", "lite0/1", "r", Timing(), 1.0)
        return VectorOutcome(photo, found)

    async def close(self) -> None:
        self.closed.set()


class Clock:
    """Time passes where somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def sleep(self, pause_s: float) -> None:
        self.slept_s.append(pause_s)
        self.now_s += pause_s

    def pauses(self, patience_s: float = 60.0) -> Pauses:
        return Pauses(patience_s, lambda: self.now_s, self.sleep)


def connect(fleet: Any, spec: ModelSpec, clock: Clock | None = None) -> FleetEmbedder:
    return FleetEmbedder.connect(fleet, spec, (clock or Clock()).pauses())


@pytest.fixture
def fleet(spec: ModelSpec) -> Iterator[Fleet]:
    fleet = Fleet(vector_space(spec, "float32"))
    yield fleet
    assert fleet.closed.is_set(), "whoever connects closes the client"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_vectors_are_those_of_the_fleet(spec: ModelSpec, fleet: Fleet, precision: str) -> None:
    fleet.space = vector_space(spec, precision)
    with closing(connect(fleet, spec)) as embedder:
        assert (embedder.key, embedder.dimensions, embedder.model) == (fleet.space, 2, "lite0/1")
        found = embedder.embed([b"four", b"seven.."])
    assert [np.asarray(each).tolist() for each in found] == [[4, 0.5], [7, 0.5]]
    assert fleet.asked == 3


def test_another_models_fleet_is_refused(spec: ModelSpec, fleet: Fleet) -> None:
    fleet.space = "ab" * 32
    with pytest.raises(CannotRetrainError, match=r"lite0/1 makes other vectors than .*graph\.pb.*--backbone"):
        connect(fleet, spec)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnexpectedAnswerError("http://fleet: the model wine has no embedding"), "wine has no embedding"),
        (BadImageError("not an image"), "refuses a grey picture: not an image"),
    ],
)
def test_what_makes_no_vectors_is_refused(
    spec: ModelSpec, fleet: Fleet, error: FleetError, said: str
) -> None:
    fleet.failures = [error]
    with pytest.raises(CannotRetrainError, match=said):
        connect(fleet, spec)


def test_a_missing_backbone_is_told(spec: ModelSpec, fleet: Fleet) -> None:
    spec.path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        connect(fleet, spec)
    fleet.closed.set()  # nobody was connected


@pytest.mark.parametrize("change", ["space", "numbers"])
def test_a_fleet_that_changes_ends_the_run(spec: ModelSpec, fleet: Fleet, change: str) -> None:
    with closing(connect(fleet, spec)) as embedder:
        embedder.embed([b"one"])
        setattr(fleet, change, "cd" * 32 if change == "space" else 3)
        with pytest.raises(RetrainFailedError, match=r"w1 \(lite0/1\) makes other vectors than lite0/1 made"):
            embedder.embed([b"two"])


def test_a_refused_photograph_is_passed_over(spec: ModelSpec, fleet: Fleet) -> None:
    with closing(connect(fleet, spec)) as embedder:
        fleet.failures = [BadImageError("not an image")]
        said, found = embedder.embed([b"text", b"photo"])
    assert said == "not an image"
    assert np.asarray(found).tolist() == [5, 0.5]


def test_a_busy_fleet_rests_for_as_long_as_it_says(spec: ModelSpec, fleet: Fleet) -> None:
    clock = Clock()
    with closing(connect(fleet, spec, clock)) as embedder:
        fleet.failures = [BusyError("busy", retry_after_s=7), FleetUnavailableError("no worker")]
        (found,) = embedder.embed([b"one"])
        assert np.asarray(found).tolist() == [3, 0.5]
        assert clock.slept_s == [7, 1]
        embedder.embed([b"two"])
    assert clock.slept_s == [7, 1], "no rest is left"


def test_patience_has_an_end(spec: ModelSpec, fleet: Fleet) -> None:
    clock = Clock()
    with closing(connect(fleet, spec, clock)) as embedder:
        fleet.failures = [FleetUnavailableError("no worker is ready") for _ in range(100)]
        with pytest.raises(RetrainFailedError, match="the fleet does not answer: no worker is ready"):
            embedder.embed([b"one"])
    assert clock.now_s == 60


def test_closing_ends_pauses(spec: ModelSpec, fleet: Fleet) -> None:
    embedder = FleetEmbedder.connect(fleet, spec)  # type: ignore[arg-type] # it has what is needed
    fleet.failures = [BusyError("busy", retry_after_s=100)] * 2
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(embedder.embed, [b"one"])
        while fleet.asked < 2:
            threading.Event().wait(0.01)
        embedder.close()
        with pytest.raises(RetrainFailedError, match="closed"):
            waiting.result(timeout=20)


def test_an_address_where_nobody_is_ends_the_run_soon(spec: ModelSpec, fleet: Fleet) -> None:
    fleet.failures = [FleetUnavailableError("nobody is there", status=None) for _ in range(100)]
    clock = Clock()
    with pytest.raises(RetrainFailedError, match="nobody is there"):
        FleetEmbedder.connect(fleet, spec, clock.pauses(300.0))  # type: ignore[arg-type] # it stands in for a client
    assert clock.now_s <= 10
