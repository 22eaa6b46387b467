"""The memory for the inputs of all requests: counted by thread, and of real requests to a real server."""

import concurrent.futures
import threading
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import requests

from tests.support.bodies import arrow, npy, npz
from tests.support.fake_model import Arrays, FakeModel, FakePredictor, FakeSession
from tests.support.memory import resident_bytes
from tests.support.waiting import eventually_sync
from tests.support.worker_http import serving
from tests.worker.api.protocols.signatures import ARROW, CSV, JSON, NPY, NPZ, info, signature
from tfleet.worker.api.input_budget import InputBudget
from tfleet.worker.api.problems import RejectedError
from tfleet.worker.api.protocols.native import InputLimits, decode
from tfleet.worker.model.signature import Signature
from tfleet.worker.rejection import Rejection

MIB = 2**20
VECTOR = signature(info("x", "float32", (None, None)))
COLUMN = signature(info("x", "float64", (None,)))
TEXT = signature(info("x", "string", (None,)))
BOMB_BYTES = 48 * MIB
THREADS = 24


def in_thread(call: Callable[[], object]) -> object:
    """What a call in a thread of its own returns; the thread has ended then."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def test_a_lone_request_gets_more_than_all_may_have() -> None:
    budget = InputBudget(10 * MIB)
    budget.reserve(4 * MIB)
    budget.reserve(40 * MIB)
    assert budget.reserved_bytes == 44 * MIB
    budget.release()
    assert budget.reserved_bytes == 0


def test_a_request_beside_others_gets_what_is_left() -> None:
    budget = InputBudget(10 * MIB)
    budget.reserve(4 * MIB)
    in_thread(lambda: budget.reserve(6 * MIB))
    assert repr(budget) == f"<InputBudget {10 * MIB} of {10 * MIB} bytes>"
    with pytest.raises(RejectedError) as error:
        in_thread(lambda: budget.reserve(2 * MIB))
    assert error.value.reason is Rejection.INPUT_BYTES
    with pytest.raises(RejectedError):
        budget.reserve(1)
    budget.release()
    assert budget.reserved_bytes == 6 * MIB, "what the others have is theirs"


def test_many_small_pieces_are_counted_together() -> None:
    budget = InputBudget(10 * MIB)
    for _ in range(1024):
        budget.reserve(1024)
    assert budget.reserved_bytes == 0, "it takes 1 MiB, which is not counted"
    budget.reserve(1)
    assert budget.reserved_bytes == MIB + 1


def test_a_small_request_passes_where_all_is_taken() -> None:
    budget = InputBudget(10 * MIB)
    budget.reserve(100 * MIB)

    def small() -> None:
        budget.reserve(MIB)
        budget.release()

    in_thread(small)
    assert budget.reserved_bytes == 100 * MIB


@pytest.mark.parametrize(
    ("body", "media_type", "model", "becomes"),
    [
        (npz({"x": np.zeros((1000, 1000), np.float32)}, compressed=True), NPZ, VECTOR, 4_000_000),
        (npy(np.zeros(60_000, np.int8)), NPY, COLUMN, 480_000),
        (npy(np.zeros(60_000, ">f8")), NPY, COLUMN, 480_000),
        (npy(np.zeros(10_000, "S8")), NPY, TEXT, 10_000 * 50),
        (arrow({"x": np.zeros(60_000)}, compression="zstd"), ARROW, COLUMN, 480_000),
        (b"[" + b",".join([b"300"] * 60_000) + b"]", JSON, COLUMN, 60_000 * 40),
        (('["' + "x" * 10_000 + '\U0001f600"]').encode(), JSON, TEXT, 5 * 10_000),
        (b'["' + b"x" * 10_000 + b'\\ud83d\\ude00"]', JSON, TEXT, 5 * 10_000),
        (b"x\n" + b"7\n" * 60_000, CSV, COLUMN, 60_000 * 60),
    ],
    ids=["deflated", "converted", "swapped", "strings", "arrow", "json", "wide", "escaped", "csv"],
)
def test_memory_is_reserved_before_it_is_taken(
    body: bytes, media_type: str, model: Signature, becomes: int
) -> None:
    reserved: list[int] = []
    assert decode(body, media_type, model, (), InputLimits(reserve=reserved.append)).rows
    assert reserved[0] == len(body)
    assert becomes <= sum(reserved) < 20 * becomes + len(body)

    def refuse(size: int) -> None:
        if size > becomes // 2:
            raise RejectedError(Rejection.INPUT_BYTES)

    with pytest.raises(RejectedError):
        decode(body, media_type, model, (), InputLimits(reserve=refuse))


class Held:
    """A model that answers with the size of its input, and holds requests while its gate is closed."""

    def __init__(self) -> None:
        self.model = FakeModel(default=None)
        self.model.session = FakeSession({"serving_default": VECTOR}, "serving_default")
        self.model.predictor = FakePredictor(self._answer)
        self.gate: threading.Event = self.model.predictor.gate

    @property
    def held(self) -> int:
        return len(self.model.predictor.calls)

    def _answer(self, _signature: str, inputs: Arrays) -> Arrays:
        return {"y": np.array([inputs["x"].nbytes])}


@pytest.mark.process
def test_small_bodies_that_inflate_share_one_budget() -> None:
    bomb = npz({"x": np.zeros((1024, BOMB_BYTES // 4096), np.float32)}, compressed=True)
    assert len(bomb) < 64 * 1024
    scene = Held()
    with (
        serving(scene.model, threads=THREADS, max_body_bytes=32 * MIB, max_input_bytes=3 * BOMB_BYTES) as (
            address,
            _,
        ),
        concurrent.futures.ThreadPoolExecutor(THREADS) as pool,
    ):

        def post(body: bytes, media_type: str) -> requests.Response:
            return requests.post(
                f"{address.url}/predict", body, headers={"Content-Type": media_type}, timeout=60
            )

        before = resident_bytes()
        asked = [pool.submit(post, bomb, NPZ) for _ in range(THREADS)]
        eventually_sync(lambda: sum(each.done() for each in asked) + scene.held == THREADS, timeout_s=60)
        assert resident_bytes() - before < 5 * BOMB_BYTES, "24 of them would be 1.1 GB"
        small = pool.submit(post, b"[[1, 2, 3]]", JSON)
        eventually_sync(lambda: scene.held == 3, timeout_s=60)
        scene.gate.set()
        answers = [each.result() for each in asked]
        assert small.result().json()["outputs"]["y"] == [12], "a small one is not refused"
        assert Counter(each.status_code for each in answers) == {200: 2, 429: THREADS - 2}
        refused = next(each for each in answers if each.status_code == 429)
        assert refused.headers["Retry-After"] == "1"
        assert "busy with large inputs" in refused.json()["detail"]
        assert post(bomb, NPZ).status_code == 200, "what they had is given back"
        counted = f'reason="input-bytes"}} {THREADS - 2}.0'
        assert counted in requests.get(f"{address.url}/metrics", timeout=10).text
