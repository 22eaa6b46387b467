"""Requests below /v1 and /v2 go to a worker of the version that they name, with all rules of predictions."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from tests.support.fake_worker import CLIENT_LIMITS, fake_worker, settings
from tests.support.planned_fleet import asked, fleet_of
from tests.support.raw_client import raw_client
from tests.support.scripted_worker import read, reset, scripted_worker
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

SERVED = ("m/1", "m/2", "other/7")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def never(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def refused(proxy: Address, path: str, **sent: Any) -> tuple[int, dict[str, Any]]:
    """The status of an error, and its body, which has the form that clients of these protocols read."""
    answer, text = await asked(proxy, path, method="POST", **sent)
    assert answer.headers["Content-Type"] == "application/json"
    page: dict[str, Any] = json.loads(text)
    assert (page["error"], page["status"]) == (page["detail"], answer.status)
    return answer.status, page


@pytest.mark.parametrize(
    ("method", "path", "target", "worker"),
    [
        ("POST", "/v1/models/m:predict?x=1", "/v1/models/m:predict?x=1", "m/2"),
        ("POST", "/v1/models/m/versions/1:classify", "/v1/models/m/versions/1:classify", "m/1"),
        ("POST", "/v1/models/m/versions/01:regress", "/v1/models/m/versions/01:regress", "m/1"),
        ("POST", "/v1/models/m/labels/prod:predict?x=1", "/v1/models/m/versions/1:predict?x=1", "m/1"),
        ("POST", "/V1/Models/m/Labels/stable:Predict", "/V1/Models/m/versions/2:Predict", "m/2"),
        ("POST", "/v1/models/%6fther:predict", "/v1/models/%6fther:predict", "other/7"),
        ("GET", "/v1/models/m/labels/prod/metadata", "/v1/models/m/versions/1/metadata", "m/1"),
        ("POST", "/v2/models/m/infer?signature=s", "/v2/models/m/infer?signature=s", "m/2"),
        ("POST", "/v2/models/m/versions/1/infer", "/v2/models/m/versions/1/infer", "m/1"),
        ("GET", "/v2/models/other", "/v2/models/other", "other/7"),
        ("GET", "/v2/models/m/versions/1/config", "/v2/models/m/versions/1/config", "m/1"),
        ("GET", "/v2/models/m/stats", "/v2/models/m/stats", "m/2"),
    ],
)
@pytest.mark.parametrize("mode", ["forward", "p2p"])
async def test_a_request_goes_to_the_version_that_it_names(
    mode: Any, method: str, path: str, target: str, worker: str
) -> None:
    async with fleet_of(*SERVED, mode=mode) as (proxy, served):
        data = b"{}" if method == "POST" else None
        answer, _ = await asked(proxy, path, method=method, data=data)
        assert (answer.status, answer.headers["X-Worker"]) == (200, worker)
        assert "X-Model" in answer.headers
        assert [seen.path for seen in served[worker].seen] == [target]
        assert [label for label, each in served.items() if each.seen] == [worker]


async def test_with_redirect_all_a_client_is_sent_to_a_worker() -> None:
    async with fleet_of(*SERVED, mode="p2p", redirect_all=True) as (proxy, served):
        for path, target, worker in (
            ("/v1/models/m/labels/prod:predict?x=1", "/v1/models/m/versions/1:predict?x=1", "m/1"),
            ("/v2/models/other/infer", "/v2/models/other/infer", "other/7"),
        ):
            answer, text = await asked(proxy, path, method="POST", data=b"{}")
            assert (answer.status, answer.headers["Location"]) == (307, served[worker].address.url + target)
            assert answer.headers["Content-Type"] == "application/json"
            assert "use a proxy without --redirect-all" in json.loads(text)["error"]
        assert (await refused(proxy, "/v2/models/x/infer"))[0] == 404
        answer, _ = await asked(proxy, "/v1/models")
        assert answer.status == 200, "pages are the proxy's own"
        assert all(not worker.seen for worker in served.values())


async def test_headers_of_the_protocols_pass_both_ways() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:

        async def answer(request: web.Request) -> web.Response:
            assert request.headers["Inference-Header-Content-Length"] == "2"
            assert request.headers["Content-Encoding"] == "gzip"
            assert await request.read() == b"{}\x00\x01"
            return web.Response(body=b"{}\x02", headers={"Inference-Header-Content-Length": "2"})

        worker.answer = answer
        sent = {"Inference-Header-Content-Length": "2", "Content-Encoding": "gzip"}
        got, text = await asked(
            proxy, "/v2/models/m/infer", method="POST", data=gzip.compress(b"{}\x00\x01"), headers=sent
        )
        assert (got.status, got.headers["Inference-Header-Content-Length"]) == (200, "2")
        assert text == "{}\x02"


@pytest.mark.parametrize("path", ["/v1/models/m:predict", "/v2/models/m/infer"])
async def test_a_failed_attempt_is_tried_at_another_worker(path: str) -> None:
    async with scripted_worker(read, reset) as broken, scripted_worker(read, OK) as well:
        async with single_process_proxy(settings(broken.address, well.address)) as proxy:
            body = b'{"instances": [1]}'
            answers = [(await asked(proxy, path, method="POST", data=body))[0] for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 200]
            assert "1" in {answer.headers["X-Retries"] for answer in answers}
        assert {request.body for request in (*broken.requests, *well.requests)} == {body}


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/models/x:predict", 404, "no model called x: there is m, other"),
        ("/v1/models/m/versions/9:predict", 404, "no version of model m called 9"),
        ("/v1/models/m/labels/x:predict", 400, "no label of model m called x: there is prod, stable"),
        ("/v2/models/x/infer", 404, "no model called x: there is m, other"),
        ("/v2/models/m/versions/9/infer", 404, "no version of model m called 9"),
    ],
)
async def test_what_there_is_not_is_said_in_the_protocols_form(path: str, status: int, words: str) -> None:
    async with fleet_of(*SERVED, mode="forward") as (proxy, _):
        found, page = await refused(proxy, path, data=b"{}")
        assert (found, words in page["error"]) == (status, True)


async def test_without_a_ready_worker_the_answer_is_503() -> None:
    async with fleet_of(mode="forward") as (proxy, _):
        for path in ("/v1/models/m:predict", "/v2/models/m/infer"):
            answer, text = await asked(proxy, path, method="POST", data=b"{}")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert json.loads(text)["error"].startswith("no worker is ready")


async def test_limits_and_deadlines_answer_in_the_protocols_form() -> None:
    async with fake_worker() as worker:
        worker.answer = never
        async with single_process_proxy(settings(worker, max_body_bytes=10)) as proxy:
            for path in ("/v1/models/m:predict", "/v2/models/m/infer"):
                status, page = await refused(proxy, path, data=b"x" * 11)
                assert (status, "--max-body-bytes" in page["error"]) == (413, True)
                headers = {"X-Request-Timeout-Ms": "100"}
                status, page = await refused(proxy, path, data=b"{}", headers=headers)
                assert (status, "no answer within 0.1 s" in page["error"]) == (504, True)


@pytest.mark.parametrize("path", [b"/v2/models/m/infer", b"/V1/models/m:predict", b"http://x/v1/models"])
async def test_a_malformed_head_is_answered_in_the_form_of_its_path(path: bytes) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        async with raw_client(proxy) as client:
            await client.send(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
            answer = await client.answer()
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert json.loads(answer.body)["error"] == "invalid HTTP request: exactly one Host header is required"


async def test_a_late_head_is_answered_in_the_form_of_its_path() -> None:
    limits = replace(CLIENT_LIMITS, header_timeout_s=0.2)
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_limits=limits)) as proxy:
        async with raw_client(proxy) as client:
            await client.send(b"POST /v2/models/m/infer?x")
            answer = await client.answer()
    assert (answer.status, answer.headers["content-type"]) == (408, "application/json")
    assert "--header-timeout" in json.loads(answer.body)["error"]


async def test_requests_are_counted_without_the_names_in_their_paths() -> None:
    async with fleet_of(*SERVED, mode="forward") as (proxy, _):
        for name in ("m", "x1", "x2"):
            await asked(proxy, f"/v2/models/{name}/infer", method="POST", data=b"{}")
            await asked(proxy, f"/models/{name}/predict", method="POST", data=b"{}")
        _, text = await asked(proxy, "/metrics")
        lines = text.splitlines()
        assert 'tfleet_proxy_requests_total{route="/v2/models/{model}/infer",status="404"} 2.0' in lines
        assert 'tfleet_proxy_requests_total{route="/models/{below}",status="404"} 2.0' in lines
        assert "x1" not in text
