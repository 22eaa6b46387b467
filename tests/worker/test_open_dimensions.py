"""Models whose signatures leave sizes open: what a small body may make them take."""

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.bodies import npz
from tests.support.memory import resident_bytes
from tests.support.tensor_models import write_loop
from tests.support.waiting import eventually_sync
from tests.support.worker_http import serving
from tests.support.worker_process import Worker, worker_process
from tests.worker.api.protocols.signatures import JSON, NPZ
from tfleet.contract.address import Address
from tfleet.worker.inference.load import load_warm
from tfleet.worker.inference.precision import Tuning
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.model.find import find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

MIB = 2**20
FILTERS = 4


class OpenSizes(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """A convolution over pictures of any size, tensors of any rank, a table of products, and sums."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.ones([3, 3, 3, FILTERS]))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, "picture")])  # type: ignore[untyped-decorator] # as above
    def convolve(self, picture: Any) -> Any:
        return {"most": tf.reduce_max(tf.nn.conv2d(picture, self.kernel, 1, "SAME"), [1, 2, 3])}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "x")])  # type: ignore[untyped-decorator] # as above
    def any_rank(self, x: Any) -> Any:
        return {"rank": tf.rank(x), "sum": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])  # type: ignore[untyped-decorator] # as above
    def products(self, x: Any) -> Any:
        return {"products": x[:, None] * x[None, :]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])  # type: ignore[untyped-decorator] # as above
    def length(self, text: Any) -> Any:
        return {"length": tf.strings.length(text)}


class Silent:
    """A log that nobody reads."""

    def info(self, event: str, **about: Any) -> None:
        """Nothing."""

    warning = info


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A worker that takes bodies of 1 MiB, and so tensors of 8 MiB."""
    folder = tmp_path_factory.mktemp("open") / "1"
    module = OpenSizes()
    signatures = {name: getattr(module, name) for name in ("convolve", "any_rank", "products", "length")}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    model = load_warm(find_model(folder), Tuning(2, "auto", 0.05), (1, 2), WorkerMetrics(), Silent())
    try:
        with serving(model, max_body_bytes=MIB) as (address, _):
            yield address
    finally:
        model.close()


def ask(worker: Address, signature: str, media_type: str, body: bytes) -> requests.Response:
    url = f"{worker.url}/predict?signature={signature}"
    return requests.post(url, body, headers={"Content-Type": media_type}, timeout=60)


def packed(**arrays: Any) -> bytes:
    return npz(arrays, compressed=True)


def test_a_picture_of_any_size_is_bounded_by_its_bytes(worker: Address) -> None:
    before = resident_bytes()
    for height, status in ((512, 200), (1024, 413)):
        picture = np.zeros((1, height, 1024, 3), np.float32)
        answer = ask(worker, "convolve", NPZ, packed(picture=picture))
        assert answer.status_code == status, answer.text
    assert "8388608 bytes allowed" in answer.json()["detail"]
    assert resident_bytes() - before < 20 * 8 * MIB


def test_a_tensor_has_at_most_32_dimensions(worker: Address) -> None:
    answer = ask(worker, "any_rank", JSON, b"[" * 32 + b"7" + b"]" * 32)
    assert answer.json()["outputs"] == {"rank": 32, "sum": 7.0}
    for body in (b'{"x": ' + b"[" * 33 + b"7" + b"]" * 33 + b"}", b"[" * 40_000):
        assert ask(worker, "any_rank", JSON, body).status_code == 400
    deep = packed(x=np.zeros((1,) * 33, np.float32))
    assert "33 dimensions, more than the 32" in ask(worker, "any_rank", NPZ, deep).json()["detail"]


def test_an_empty_tensor_hides_no_large_dimension(worker: Address) -> None:
    answer = ask(worker, "any_rank", NPZ, packed(x=np.zeros((0, 2**40), np.float32)))
    assert (answer.status_code, "takes more than the 8388608 bytes" in answer.text) == (413, True)


def test_outputs_that_multiply_are_refused_by_their_bytes(worker: Address) -> None:
    answer = ask(worker, "products", NPZ, packed(x=np.ones(1024, np.float32)))
    assert answer.status_code == 200
    answer = ask(worker, "products", NPZ, packed(x=np.ones(2048, np.float32)))
    assert answer.status_code == 413
    assert "the model's outputs take 16777216 bytes, more than the 8388608" in answer.json()["detail"]


def test_a_single_string_is_bounded_by_the_body(worker: Address) -> None:
    longest = b'["' + b"x" * (MIB - 4) + b'"]'
    assert ask(worker, "length", JSON, longest).json()["outputs"] == {"length": [MIB - 4]}
    assert ask(worker, "length", JSON, longest + b" ").status_code == 413
    many = np.full(16, b"x" * (512 * 1024 + 1))
    assert "becomes more than the 8388608 bytes" in ask(worker, "length", NPZ, packed(text=many)).text


@pytest.fixture
def slow_worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker whose model runs as long as its client says, with 8 MiB for the inputs of all requests."""
    model = write_loop(tmp_path / "loop.pb")
    options = ("--registry", "static:", "--drain-grace", "0", "--max-queue-bytes", str(MIB))
    with worker_process("--model", str(model), *options) as worker:
        yield worker
        worker.process.kill()


def test_a_worker_shares_its_memory_among_requests(slow_worker: Worker) -> None:
    slow_worker.wait_for("worker ready")
    x = np.zeros((5 * MIB // 8, 2), np.float32)
    address = slow_worker.address()

    def post(times: int) -> int:
        url, body = f"{address.url}/predict", packed(x=x[:60_000] if times < 0 else x, times=np.int32(times))
        headers = {"Content-Type": NPZ, "Accept": NPZ}
        return requests.post(url, body, headers=headers, timeout=120).status_code

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # A second or more. One of the short ones below may be there first.
        slow = pool.submit(lambda: eventually_sync(lambda: post(10_000), wanted=(200).__eq__))
        assert eventually_sync(lambda: post(1) == 429 and not slow.done(), timeout_s=60)
        assert post(-1) == 200, "what needs little memory is answered meanwhile"
        assert slow.result() == 200
    assert post(1) == 200
