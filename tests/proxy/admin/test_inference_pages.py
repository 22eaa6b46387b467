"""What the proxy itself says below /v1 and /v2, of a fleet of two models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import requests
from aiohttp import web

from tests.support.canned_server import nobody
from tests.support.fake_worker import fake_worker, settings
from tests.support.planned_fleet import asked, fleet_of
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

SERVED = ("m/1", "m/2", "other/7")
Fleet = tuple[Address, dict[str, Any]]


@pytest_asyncio.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with fleet_of(*SERVED, mode="forward") as found:
        yield found


async def break_off(request: web.Request) -> web.Response:
    """As a worker that has died: the proxy ejects it."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def said(
    proxy: Address, path: str, *, method: str = "GET", data: bytes | None = None
) -> tuple[int, Any]:
    answer, text = await asked(proxy, path, method=method, data=data)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, json.loads(text)


async def test_the_fleets_models_and_versions_are_listed(fleet: Fleet) -> None:
    proxy, served = fleet
    assert await said(proxy, "/v1/models") == (200, {"models": ["m", "other"]})
    for path, versions in (
        ("/v1/models/m", ["2", "1"]),
        ("/V1/Models/m", ["2", "1"]),
        ("/v1/models/m/versions/1", ["1"]),
        ("/v1/models/m/versions/01", ["1"]),
        ("/v1/models/m/labels/prod", ["1"]),
        ("/v1/models/m/labels/stable", ["2"]),
        ("/v1/models/other", ["7"]),
    ):
        status, page = await said(proxy, path)
        assert (status, [each["version"] for each in page["model_version_status"]]) == (200, versions), path
        assert {each["state"] for each in page["model_version_status"]} == {"AVAILABLE"}
    entries = [
        {"name": name, "version": version, "state": "READY", "reason": ""}
        for name, version in (("m", "2"), ("m", "1"), ("other", "7"))
    ]
    assert await said(proxy, "/v2/repository/index", method="POST") == (200, entries)
    assert all(not worker.seen for worker in served.values()), "no worker was asked"


async def test_the_index_may_leave_out_what_is_not_ready(fleet: Fleet) -> None:
    proxy, served = fleet
    served["m/1"].ready = False

    served["m/1"].answer = break_off
    await asked(proxy, "/v1/models/m/versions/1/metadata")
    _, entries = await said(proxy, "/v2/repository/index", method="POST", data=b"{}")
    assert [each["version"] for each in entries if each["state"] != "READY"] == ["1"]
    _, entries = await said(proxy, "/v2/repository/index", method="POST", data=b'{"ready": true}')
    assert [each["version"] for each in entries] == ["2", "7"]


async def test_the_server_describes_itself(fleet: Fleet) -> None:
    proxy, _ = fleet
    for path in ("/v2", "/v2/"):
        status, page = await said(proxy, path)
        assert (status, page["name"]) == (200, "tfleet")
        assert "binary_tensor_data" in page["extensions"]
    assert await said(proxy, "/v2/health/live") == (200, {"live": True})
    assert await said(proxy, "/v2/health/ready") == (200, {"live": True, "ready": True})


@pytest.mark.parametrize("path", ["/v2/models/m", "/v2/models/m/versions/1", "/v2/models/other/versions/7"])
async def test_a_model_is_ready_if_a_worker_is(fleet: Fleet, path: str) -> None:
    proxy, _ = fleet
    name = path.split("/")[3]
    assert await said(proxy, f"{path}/ready") == (200, {"name": name, "ready": True})


async def test_a_model_without_ready_workers_is_503(fleet: Fleet) -> None:
    proxy, served = fleet
    served["other/7"].ready = False

    served["other/7"].answer = break_off
    await asked(proxy, "/v2/models/other/infer", method="POST", data=b"{}")
    answer, text = await asked(proxy, "/v2/models/other/ready")
    assert (answer.headers["Content-Type"], answer.headers["Retry-After"]) == ("application/json", "1")
    page = json.loads(text)
    assert (page["name"], page["ready"], page["success"]) == ("other", False, False)
    assert page["error"] == page["detail"] == "no worker of model other is ready: see GET /workers"
    status, page = await said(proxy, "/v2/repository/models/other/load", method="POST")
    assert (status, page["ready"]) == (503, False)
    assert (await said(proxy, "/v2/health/ready"))[0] == 200, "the other model's workers are ready"


async def test_a_fleet_without_workers_is_alive_but_not_ready() -> None:
    async with fleet_of(mode="forward") as (proxy, _):
        assert await said(proxy, "/v2/health/live") == (200, {"live": True})
        answer, text = await asked(proxy, "/v2/health/ready")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        page = json.loads(text)
        assert (page["ready"], page["error"]) == (False, "no worker is ready")
        _, page = await said(proxy, "/v1/models/m")
        assert [each["state"] for each in page["model_version_status"]] == ["START", "START"]
        for name in ("m", "x"):
            status, page = await said(proxy, f"/v2/models/{name}/ready")
            assert (status, page["ready"], page["error"]) == (503, False, "no worker is ready")
        assert (await said(proxy, "/v1/models/x"))[0] == 503, "it may be there in a moment"
        assert (await said(proxy, "/v2/repository/models/x/load", method="POST"))[0] == 503


async def test_load_and_unload_say_what_a_fleet_does(fleet: Fleet) -> None:
    proxy, _ = fleet
    repository = "/v2/repository/models"
    assert await said(proxy, f"{repository}/m/load", method="POST") == (200, {"name": "m", "ready": True})
    for path, data, expected, words in (
        ("x/load", b"", 404, "tfleet up --models"),
        ("x/unload", b"", 404, "tfleet up --models"),
        ("m/load", b'{"parameters": {"config": "{}"}}', 400, "tfleet rollout"),
        ("m/unload", b"", 400, "tfleet drain"),
        ("m/load", b"[]", 400, "no JSON object"),
        ("m/load", b"[" * 60_000, 400, "no JSON object"),
        ("m/load", b" " * 70_000, 413, "over 65536 bytes"),
    ):
        status, page = await said(proxy, f"{repository}/{path}", method="POST", data=data)
        assert status == expected, (path, page)
        assert words in page["error"]


async def test_what_tritons_clients_may_ask_has_an_answer(fleet: Fleet) -> None:
    proxy, _ = fleet
    assert await said(proxy, "/v2/systemsharedmemory/status") == (200, [])
    assert await said(proxy, "/v2/cudasharedmemory/unregister", method="POST") == (200, {})
    for method, path, expected, words in (
        ("POST", "/v2/systemsharedmemory/region/r/register", 400, "send tensors in the body"),
        ("GET", "/v2/logging", 404, "this server has no /v2/logging"),
        ("GET", "/v2/models/stats", 400, "GET /v2/models/NAME/stats"),
    ):
        status, page = await said(proxy, path, method=method)
        assert status == expected
        assert words in page["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v1/models/x", 404, "no model called x: there is m, other"),
        ("GET", "/v1/models/m/versions/9", 404, "no version of model m called 9"),
        ("GET", "/v1/models/m/labels/x", 400, "no label of model m called x: there is prod, stable"),
        ("POST", "/v1/models/m", 400, "Malformed request: POST /v1/models/m"),
        ("GET", "/v1/models/m:predict", 400, "Malformed request: GET /v1/models/m:predict"),
        ("GET", "/v1", 400, "Malformed request: GET /v1"),
        ("PUT", "/v1/models/m:predict", 405, "use POST"),
        ("PUT", "/v1/x", 400, "Malformed request: PUT /v1/x"),
        ("POST", "/v1//models/m:predict", 400, "Malformed request: POST /v1//models/m:predict"),
        ("GET", "/V2", 404, "there is nothing at /V2: there is /v2/models/NAME"),
        ("GET", "/v2/models/x/ready", 404, "no model called x"),
        ("GET", "/v2/models/m/versions/9/ready", 404, "no version of model m called 9"),
        ("GET", "/v2/models/m/infer", 405, "use POST"),
        ("POST", "/v2/models/m/config", 405, "use GET or HEAD"),
        ("GET", "/v2/models", 404, "there is nothing at /v2/models"),
        ("GET", "/v2/%68ealth/live", 404, "there is nothing at /v2/%68ealth/live"),
    ],
)
async def test_errors_have_the_form_that_clients_read(
    fleet: Fleet, method: str, path: str, status: int, words: str
) -> None:
    proxy, _ = fleet
    answer, text = await asked(proxy, path, method=method)
    page = json.loads(text)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/json")
    assert words in page["error"]
    assert (page["detail"], page["status"], page["success"]) == (page["error"], status, False)
    assert ("Allow" in answer.headers) == (status == 405)


async def test_the_admin_port_has_pages_and_no_predictions() -> None:
    admin = nobody()
    async with fake_worker() as worker, single_process_proxy(settings(worker, admin=admin)):
        assert await said(admin, "/v2/health/ready") == (200, {"live": True, "ready": True})
        for path in ("/v1/models/m:predict", "/v2/models/m/infer"):
            status, page = await said(admin, path, method="POST")
            assert (status, "not on this port" in page["error"]) == (404, True)
    assert worker.seen == []


@pytest.mark.parametrize("size", [70_000, 2_000_000])
async def test_a_long_body_about_the_repository_is_refused(fleet: Fleet, size: int) -> None:
    proxy, _ = fleet
    url = f"{proxy.url}/v2/repository/index"
    answer = await asyncio.to_thread(requests.post, url, data=b" " * size, timeout=20)
    assert (answer.status_code, "over 65536 bytes" in answer.json()["error"]) == (413, True)


async def test_of_a_static_list_a_worker_says_it() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        for method, path in (
            ("GET", "/v1/models"),
            ("GET", "/v1/models/lite0"),
            ("GET", "/v2/models/lite0/ready"),
            ("POST", "/v2/repository/index"),
        ):
            assert (await asked(proxy, path, method=method))[0].status == 200
            assert (worker.seen[-1].method, worker.seen[-1].path) == (method, path)
        assert await said(proxy, "/v2/health/ready") == (200, {"live": True, "ready": True})
        assert len(worker.seen) == 4
