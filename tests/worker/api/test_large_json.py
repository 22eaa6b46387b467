"""Large bodies of text are read one at a time, without the garbage collector."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.fake_model import FakeModel
from tfleet.contract.address import Address
from tfleet.contract.tfs_paths import TfsAction
from tfleet.discovery.instance import Instance
from tfleet.worker.api.classify import Classify
from tfleet.worker.api.image_tensors import ImageTensors
from tfleet.worker.api.infer import Infer
from tfleet.worker.api.input_budget import InputBudget
from tfleet.worker.api.large_json import LARGE_BYTES, LargeJson
from tfleet.worker.api.predict import Predict
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.problems import RejectedError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.read_prediction import ReadPrediction
from tfleet.worker.api.signature_runs import SignatureRuns
from tfleet.worker.api.tfs_requests import TfsRequests
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.memory import MemoryTrimmer
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.rejection import Rejection

SOON_S = 20.0
BLANKS = b" " * LARGE_BYTES
VALUES = {
    "/predict": b'{"G1": 1, "G2": 5}',
    "/v1": b'{"instances": [{"G1": 1, "G2": 5}]}',
    "/v1 examples": b'{"examples": [{"G1": 1, "G2": 5}], "signature_name": "none"}',
    "/v2": b'{"inputs": [{"name": "G1", "datatype": "FP32", "shape": [1], "data": [1]},'
    b'{"name": "G2", "datatype": "FP32", "shape": [1], "data": [5]}]}',
}


def later() -> float:
    return time.perf_counter() + SOON_S


def test_a_second_large_document_waits_for_the_first() -> None:
    turns, inside, may_end = LargeJson(), threading.Event(), threading.Event()

    def first() -> None:
        with turns.turn(LARGE_BYTES, later()):
            inside.set()
            may_end.wait(SOON_S)

    def second() -> bool:
        with turns.turn(LARGE_BYTES, later()):
            return may_end.is_set()

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(first)
        assert inside.wait(SOON_S)
        two = threads.submit(second)
        with turns.turn(LARGE_BYTES - 1, later()):
            pass  # a small one does not wait
        may_end.set()
        assert one.result(SOON_S) is None
        assert two.result(SOON_S)


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_pauses_meanwhile(collects: bool) -> None:
    if not collects:
        gc.disable()
    try:
        with pytest.raises(ValueError, match="no JSON"):
            fails_inside(LargeJson())
        assert gc.isenabled() == collects
        with LargeJson().turn(LARGE_BYTES - 1, later()):
            assert gc.isenabled() == collects
    finally:
        gc.enable()


def fails_inside(turns: LargeJson) -> None:
    with turns.turn(LARGE_BYTES, later()):
        assert not gc.isenabled()
        raise ValueError("no JSON")


@pytest.fixture
def runs() -> Iterator[SignatureRuns]:
    lifecycle, memory = Lifecycle(), MemoryTrimmer()
    lifecycle.ready(FakeModel())  # type: ignore[arg-type] # it stands in for a LoadedModel
    yield SignatureRuns(lifecycle, WorkerMetrics(), InputLimits(), InputBudget(2**30), memory)
    memory.close()


def reader(runs: SignatureRuns, protocol: str) -> Callable[[PredictionRequest], ReadPrediction]:
    instance = Instance("w1", Address("127.0.0.1", 1), "wine", "1")
    classify = Classify(runs.lifecycle, runs.metrics, ImageLimits(), decoders=None, memory=runs.memory)  # type: ignore[arg-type] # no image is decoded
    tfs, images = protocol.startswith("/v1"), ImageTensors(runs, classify)
    if tfs:
        action = TfsAction.REGRESS if protocol.endswith("examples") else TfsAction.PREDICT
        return lambda request: TfsRequests(runs, images).read(action, request, lambda: False)
    if protocol == "/v2":
        return lambda request: Infer(instance, runs, classify).read(request, lambda: False)
    return lambda request: Predict(runs).read(request, lambda model: model.session.signature(None))


def request(body: bytes, headers: dict[str, str]) -> PredictionRequest:
    now_s = time.perf_counter()
    return PredictionRequest("POST", "", {}, headers.get, lambda: body, now_s, now_s)


@pytest.mark.parametrize("protocol", VALUES)
def test_a_turn_that_comes_too_late_is_not_taken(runs: SignatureRuns, protocol: str) -> None:
    read, body = reader(runs, protocol), VALUES[protocol] + BLANKS
    asked = request(body, {"X-Request-Timeout-Ms": "200", "Content-Type": "application/json"})
    with ThreadPoolExecutor(1) as threads, runs.large_json.turn(LARGE_BYTES, later()):
        found = threads.submit(lambda: read(asked))
        with pytest.raises(TimeoutError):
            found.result(0.2)
    with pytest.raises(RejectedError) as error:
        found.result(SOON_S)
    assert error.value.reason is Rejection.DEADLINE


@pytest.mark.parametrize("protocol", [name for name in VALUES if name != "/v1 examples"])
def test_a_large_document_is_read(runs: SignatureRuns, protocol: str) -> None:
    found: Any = reader(runs, protocol)(request(VALUES[protocol] + BLANKS, {}))
    assert found.asked.inputs["G1"].tolist() == [1.0]
