"""Health, metadata, configuration, statistics, index, load and unload below `/v2`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.fake_model import FakeModel
from tests.support.worker_http import serving
from tests.worker.api.protocols.oip.bodies import body, tensor
from tfleet.contract.address import Address
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.rejection import Rejection

Served = tuple[Address, Lifecycle]
ROW = body(tensor("G1", "FP32", [1], [1]), tensor("G2", "FP32", [1], [5]))


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(FakeModel(), name="wine") as found:
        yield found


@pytest.fixture
def worker(served: Served) -> Address:
    return served[0]


def get(worker: Address, path: str) -> requests.Response:
    return requests.get(worker.url + path, timeout=20)


def post(worker: Address, path: str, content: bytes = b"") -> requests.Response:
    return requests.post(worker.url + path, data=content, timeout=20)


def said(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


def error(answer: requests.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    text: str = answer.json()["error"]
    return text


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_names_itself_and_its_extensions(worker: Address, path: str) -> None:
    found = said(get(worker, path))
    assert found["name"] == "tfleet"
    assert "binary_tensor_data" in found["extensions"]


@pytest.mark.parametrize(
    "path", ["/v2/health/ready", "/v2/models/wine/ready", "/v2/models/wine/versions/1/ready"]
)
def test_readiness_is_that_of_the_worker(served: Served, path: str) -> None:
    worker, lifecycle = served
    assert said(get(worker, path))["ready"] is True
    lifecycle.drain()
    answer = get(worker, path)
    assert "draining" in error(answer, 503)
    assert answer.headers["Retry-After"] == "1"
    document = answer.json()
    assert document["ready"] is False
    assert document.keys() >= {"error", "detail", "title", "status", "success"}
    assert said(get(worker, "/v2/health/live")) == {"live": True}


def test_a_worker_that_starts_is_live_and_not_ready() -> None:
    with serving(None, name="wine") as (worker, _):
        assert said(get(worker, "/v2/health/live")) == {"live": True}
        assert "starting" in error(get(worker, "/v2/health/ready"), 503)
        assert "loading" in error(get(worker, "/v2/models/wine"), 503)
        assert "loading" in error(get(worker, "/v2/models/wine/config"), 503)
        assert [each["state"] for each in said(post(worker, "/v2/repository/index"))] == ["LOADING"]
        assert said(post(worker, "/v2/repository/index", b'{"ready": true}')) == []
        error(post(worker, "/v2/repository/models/wine/load"), 503)


@pytest.mark.parametrize("path", ["/v2/models/wine", "/v2/models/wi%6Ee/versions/1"])
def test_a_model_tells_its_tensors(worker: Address, path: str) -> None:
    found = said(get(worker, path))
    assert (found["name"], found["versions"]) == ("wine", ["1"])
    assert found["inputs"][0] == {"name": "G1", "datatype": "FP32", "shape": [-1]}
    assert found["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1, 1]}]
    other = said(get(worker, f"{path}?signature=double"))
    assert other["inputs"] == [{"name": "x", "datatype": "FP64", "shape": []}]
    assert "double" in error(get(worker, f"{path}?signature=x"), 400)


def test_a_configuration_says_which_signature_it_is_of(worker: Address) -> None:
    found = said(get(worker, "/v2/models/wine/config?signature=double"))
    assert found["parameters"] == {"signature": {"string_value": "double"}}
    assert said(get(worker, "/v2/models/wine/versions/1/config"))["max_batch_size"] == 0


@pytest.mark.parametrize(
    "path", ["/v2/models/stats", "/v2/models/wine/stats", "/v2/models/wine/versions/1/stats"]
)
def test_statistics_count_what_was_computed(worker: Address, path: str) -> None:
    (before,) = said(get(worker, path))["model_stats"]
    assert (before["inference_count"], before["last_inference"]) == (0, 0)
    two = body(tensor("G1", "FP32", [2], [1, 2]), tensor("G2", "FP32", [2], [5, 5]))
    for content, status in ((ROW, 200), (two, 200), (b"{", 400)):
        assert post(worker, "/v2/models/wine/infer", content).status_code == status
    requests.post(f"{worker.url}/predict", json={"G1": 1, "G2": 5}, timeout=20).raise_for_status()
    post(worker, "/v2/repository/models/wine/unload")
    (found,) = said(get(worker, path))["model_stats"]
    assert (found["inference_count"], found["inference_stats"]["success"]["count"]) == (4, 3)
    assert found["inference_stats"]["fail"]["count"] == 1, "pages count as no prediction"


def test_the_index_has_the_one_model(worker: Address) -> None:
    expected = [{"name": "wine", "version": "1", "state": "READY", "reason": ""}]
    for content in (b"", b" ", b"{}", b'{"ready": true}', b'{"ready": null}'):
        assert said(post(worker, "/v2/repository/index", content)) == expected
    assert "JSON" in error(post(worker, "/v2/repository/index", b"{"), 400)
    assert "object" in error(post(worker, "/v2/repository/index", b"[1]"), 400)
    assert "65536 bytes" in error(post(worker, "/v2/repository/index", b" " * 200_000), 413)


def test_load_and_unload_say_what_a_fleet_does(worker: Address) -> None:
    said(post(worker, "/v2/repository/models/wine/load"))
    said(post(worker, "/v2/repository/models/wine/load", b"{}"))
    config = b'{"parameters": {"config": "{}"}}'
    assert "tfleet rollout" in error(post(worker, "/v2/repository/models/wine/load", config), 400)
    assert "wine, version 1" in error(post(worker, "/v2/repository/models/beer/load"), 404)
    assert "tfleet drain" in error(post(worker, "/v2/repository/models/wine/unload"), 400)
    assert "wine, version 1" in error(post(worker, "/v2/repository/models/beer/unload"), 404)


@pytest.mark.parametrize("below", ["", "/ready", "/config", "/stats"])
@pytest.mark.parametrize("model", ["beer", "wine/versions/2"])
def test_another_model_is_not_described(worker: Address, model: str, below: str) -> None:
    assert "wine, version 1" in error(get(worker, f"/v2/models/{model}{below}"), 404)


def test_what_a_ticket_protects_is_rejected_without_one() -> None:
    with serving(FakeModel(), name="wine", check_ticket=lambda *_: Rejection.TICKET_MISSING) as (worker, _):
        for path in ("repository/index", "repository/models/wine/load", "repository/models/wine/unload"):
            assert "ticket" in error(post(worker, f"/v2/{path}"), 401)
        assert "ticket" in error(post(worker, "/v2/models/wine/infer", ROW), 401)


def test_extensions_that_are_not_here_say_so(worker: Address) -> None:
    for path in ("trace/setting", "models/wine/trace/setting", "logging"):
        assert "GET /v2" in error(get(worker, f"/v2/{path}"), 404)
        assert "GET /v2" in error(post(worker, f"/v2/{path}", b"{}"), 404)
    for path in ("/v2/nothing", "/v2//models/wine", "/V2/models/wine"):
        found = error(get(worker, path), 404)
        assert path in found
        assert "/v2/models/NAME[/versions/V]" in found


@pytest.mark.parametrize("kind", ["systemsharedmemory", "cudasharedmemory"])
def test_no_memory_is_shared(worker: Address, kind: str) -> None:
    assert said(get(worker, f"/v2/{kind}/status")) == []
    assert said(get(worker, f"/v2/{kind}/region/r/status")) == []
    said(post(worker, f"/v2/{kind}/unregister"))
    said(post(worker, f"/v2/{kind}/region/r/unregister"))
    assert "body" in error(post(worker, f"/v2/{kind}/region/r/register", b"{}"), 400)
