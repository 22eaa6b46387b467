"""Whatever a model takes may wait: the answer of a job is byte for byte that of the direct request."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import pyarrow as pa
import pytest
import requests

from tests.support.environment import users_environment
from tests.support.photos import PHOTOS
from tests.support.redis_server import need_redis
from tests.support.tfleet_up import ROOT, up
from tests.support.waiting import eventually_sync

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

IMAGES: Final = "efficientnet-lite0"
IRIS: Final = "iris"
ARITHMETIC: Final = "arithmetic"
ARROW: Final = "application/vnd.apache.arrow.stream"
NPY: Final = "application/x-npy"
NPZ: Final = "application/x-npz"
ROW: Final = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
_KEPT: Final = ("Content-Type", "Content-Encoding", "X-Model", "Inference-Header-Content-Length")
_WRITE: Final = "import sys; from tests.support.tensor_models import write_arithmetic as w; w(sys.argv[1])"


@dataclass(frozen=True)
class Fleet:
    """A fleet of one worker with this model: one process with TensorFlow at a time."""

    model: str
    url: str


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    need_redis()
    folder, model = tmp_path_factory.mktemp("fleet"), request.param
    version = ROOT / "worker" / "models" / model / "1"
    if model == ARITHMETIC:
        version = folder / model / "1"
        subprocess.run(
            (sys.executable, "-c", _WRITE, str(version)), check=True, capture_output=True, cwd=ROOT
        )
    state = users_environment() | {"XDG_STATE_HOME": str(folder / "state")}
    with up("--jobs", "--model", str(version), workers=1, environment=state) as running:
        yield Fleet(model, running.proxy.url)


def table(**columns: list[float]) -> bytes:
    rows = pa.table({name: pa.array(values, pa.float32()) for name, values in columns.items()})
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, rows.schema) as writer:
        writer.write_table(rows)
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([list(ROW.values())] * 3, np.float32))
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([1, 2], np.float32), b=np.array([3, 4], np.float32))
    return buffer.getvalue()


def photo(name: str = "cat") -> bytes:
    return PHOTOS[name].read_bytes()


def form() -> tuple[bytes, str]:
    """A photograph as `curl -F` sends it."""
    whole = requests.Request("POST", "http://x/", files={"data": ("cat.jpg", photo())}).prepare()
    assert isinstance(whole.body, bytes)
    return whole.body, whole.headers["Content-Type"]


@dataclass(frozen=True)
class Case:
    """A request for a model. Without a path it goes to the `/predict` of the model, and as `POST /jobs`."""

    name: str
    model: str
    body: bytes
    headers: dict[str, str]
    query: str = ""
    path: str = ""
    status: int = 200


TENSORS: Final = (
    b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": [1]},'
    b' {"name": "b", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}],'
    b' "parameters": {"binary_data_output": true}}'
)
ZIPPED: Final = gzip.compress(b'{"instances": [[1, 2, 3, 4]]}')
CSV_ROW: Final = (",".join(ROW) + "\n5,3,1,0\n").encode()
ONE_ROW: Final = json.dumps(ROW).encode()
PAIRS: Final = b'{"a": [1, 2], "b": [3, 4]}'
JSON: Final = {"Content-Type": "application/json"}
JPEG: Final = {"Content-Type": "image/jpeg"}
BINARY: Final = {"Inference-Header-Content-Length": str(len(TENSORS))}
FLOWERS: Final = {name: [value, 6.0] for name, value in ROW.items()}
FORM: Final = form()

CASES: Final = (
    Case("a row", IRIS, ONE_ROW, JSON),
    Case("rows", IRIS, json.dumps([ROW] * 3).encode(), JSON),
    Case("a query", IRIS, ONE_ROW, JSON, query="top=1"),
    Case("csv", IRIS, CSV_ROW, {"Content-Type": "text/csv"}),
    Case("arrow", IRIS, table(**FLOWERS), {"Content-Type": ARROW, "Accept": ARROW}),
    Case("npy", IRIS, npy(), {"Content-Type": NPY}),
    Case("a wrong row", IRIS, b'{"sepal_length": "x"}', JSON, status=400),
    Case("tfs", IRIS, b'{"instances": [[1, 2, 3, 4]]}', {}, path="/v1/models/iris:predict"),
    Case("gzip", IRIS, ZIPPED, {"Content-Encoding": "gzip"}, path="/v1/models/iris/versions/1:predict"),
    Case("no name", IRIS, ONE_ROW, {**JSON, "Accept": "text/csv"}, path="/predict"),
    Case("npz", ARITHMETIC, npz(), {"Content-Type": NPZ, "Accept": NPZ}),
    Case("several inputs", ARITHMETIC, PAIRS, JSON),
    Case("arrow of two", ARITHMETIC, table(a=[1, 2], b=[3, 4]), {"Content-Type": ARROW}),
    Case("a signature", ARITHMETIC, b'{"x": 2}', JSON, path="/models/arithmetic/signatures/scalar/predict"),
    Case("oip", ARITHMETIC, TENSORS + bytes(4), BINARY, path="/v2/models/arithmetic/infer"),
    Case("jpeg", IMAGES, photo(), JPEG),
    Case("bytes", IMAGES, photo("rocket"), {"Content-Type": "application/octet-stream"}, query="top=2"),
    Case("form", IMAGES, FORM[0], {"Content-Type": FORM[1]}),
    Case("not an image", IMAGES, b"text", JPEG, status=400),
    Case("front", IMAGES, photo(), JPEG, query="top=2", path="/"),
)


# The images are first, so that both tests have the same number for them, and one fleet.
@pytest.mark.parametrize("fleet", [IMAGES, IRIS, ARITHMETIC], indirect=True)
def test_jobs_are_answered_as_requests(fleet: Fleet) -> None:
    cases = [case for case in CASES if case.model == fleet.model]
    assert len(cases) >= 5
    for case in cases:
        check(fleet.url, case)


def check(url: str, case: Case) -> None:
    path = url + (case.path or f"/models/{case.model}/predict")
    direct = post(f"{path}?{case.query}", case.body, case.headers)
    queued = post(f"{path}?queue=1&{case.query}", case.body, case.headers)
    assert said(queued) == said(direct), case.name
    assert direct.status_code == case.status, f"{case.name}: {direct.text}"
    if not case.path:
        accepted = post(f"{url}/jobs?model={case.model}&{case.query}", case.body, case.headers)
        assert accepted.status_code == 202, accepted.text
        job = requests.get(f"{url}{accepted.headers['Location']}?wait=30", timeout=60)
        assert said(job) == said(direct), case.name
        assert job.headers["X-Job-State"] == "done"


@pytest.mark.parametrize("fleet", [IMAGES], indirect=True)
def test_jobs_and_requests_share_a_run(fleet: Fleet) -> None:
    url = fleet.url

    def shared() -> bool:
        """A run with k requests is k times 1/k: without a run of both kinds, those of one kind sum to a whole
        number.
        """
        paths = [f"{url}/models/{IMAGES}", f"{url}/models/{IMAGES}?queue=1"] * 6
        with ThreadPoolExecutor(len(paths)) as pool:
            answers = list(pool.map(lambda path: post(path, photo(), JPEG), paths))
        assert [answer.status_code for answer in answers] == [200] * len(paths)
        direct = (Fraction(1, int(answer.headers["X-Batch-Size"])) for answer in answers[::2])
        return sum(direct).denominator != 1

    assert eventually_sync(shared)


def post(url: str, body: bytes, headers: dict[str, str]) -> requests.Response:
    plain = {"Accept-Encoding": "identity", **headers}
    return requests.post(url, data=body, headers=plain, timeout=60)


def said(answer: requests.Response) -> tuple[object, ...]:
    return (answer.status_code, answer.content, *(answer.headers.get(name) for name in _KEPT))
