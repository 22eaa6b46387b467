import json

import aiohttp
import pytest

from tests.support.fake_worker import fake_worker, settings
from tfleet.contract.address import Address
from tfleet.discovery.registry import StaticRegistry
from tfleet.proxy.server import single_process_proxy

NOBODY = settings(registry=StaticRegistry(()))


async def get(
    address: Address, path: str, *, method: str = "GET", accept: str = "*/*"
) -> tuple[aiohttp.ClientResponse, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, address.url + path, headers={"Accept": accept}, allow_redirects=False
        ) as answer,
    ):
        return answer, await answer.text()


async def test_the_front_page_of_forward_mode_has_lines_to_paste() -> None:
    async with single_process_proxy(NOBODY) as proxy:
        answer, text = await get(proxy, "/")
        assert answer.status == 200
        assert f'curl -v -XPOST {proxy} -F "data=@cat.jpg"' in text
        assert f"curl -X POST -F image=@cat.jpg 'http://{proxy}/predict'" in text
        assert f'curl -v -XPOST $(curl -s {proxy}/worker) -F "data=@cat.jpg"' in text


@pytest.mark.parametrize(("mode", "path"), [("forward", "/worker"), ("p2p", "/worker"), ("p2p", "/")])
async def test_a_lookup_answers_an_address_and_a_newline(mode: str, path: str) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, mode=mode)) as proxy:  # type: ignore[arg-type] # one of MODES
        answer, text = await get(proxy, path)
        assert text == f"{worker.address}\n"
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Worker"] == str(worker.address)


async def test_a_lookup_answers_json_where_it_is_asked_for() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, mode="p2p")) as proxy:
        answer, text = await get(proxy, "/", accept="application/json")
        assert answer.content_type == "application/json"
        assert json.loads(text) == {
            "id": str(worker.address),
            "address": str(worker.address),
            "model": "",
            "version": "",
            "stateful": False,
            "expires_in_s": 30,
        }


async def test_lookups_take_turns() -> None:
    async with (
        fake_worker() as one,
        fake_worker() as two,
        single_process_proxy(settings(one, two, mode="p2p")) as proxy,
    ):
        found = [(await get(proxy, "/"))[1].strip() for _ in range(4)]
        assert found == [str(one.address), str(two.address)] * 2


async def test_a_lookup_without_a_worker_is_503() -> None:
    async with single_process_proxy(NOBODY) as proxy:
        answer, text = await get(proxy, "/worker")
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert "tfleet worker" in json.loads(text)["detail"]


async def test_a_p2p_proxy_redirects_an_image_unread() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, mode="p2p")) as proxy:
        answer, _ = await get(proxy, "/predict?top=2", method="POST")
        assert answer.status == 307
        assert answer.headers["Location"] == f"{worker.address.url}/predict?top=2"
        assert answer.headers["Connection"] == "close"
        assert worker.seen == []


async def test_an_unknown_path_is_a_404_document() -> None:
    async with single_process_proxy(NOBODY) as proxy:
        answer, text = await get(proxy, "/nothing")
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        assert "/nothing" in json.loads(text)["detail"]
        assert len(answer.headers["X-Request-Id"]) == 32


async def test_a_wrong_method_is_405_with_the_allowed_ones() -> None:
    async with single_process_proxy(NOBODY) as proxy:
        for path in ("/predict", "/models/flowers"):
            answer, text = await get(proxy, path, method="PUT")
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET, HEAD, POST"
            assert "use GET or HEAD or POST" in json.loads(text)["detail"]
        answer, _ = await get(proxy, "/models", method="PUT")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_without_workers_a_proxy_is_alive_but_not_ready() -> None:
    async with single_process_proxy(NOBODY) as proxy:
        assert (await get(proxy, "/healthz"))[0].status == 200
        answer, text = await get(proxy, "/readyz")
        assert answer.status == 503
        assert json.loads(text)["detail"] == "no worker is ready"


async def test_with_a_worker_a_proxy_is_ready() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        assert (await get(proxy, "/readyz"))[0].status == 200


async def test_the_workers_page_shows_the_state_of_each_worker() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        (row,) = json.loads((await get(proxy, "/workers"))[1])["workers"]
        assert row == {
            "id": str(worker.address),
            "address": str(worker.address),
            "wan": None,
            "model": "",
            "version": "",
            "kind": "",
            "stateful": False,
            "state": "ready",
            "weight": 1.0,
            "listed": True,
            "in_flight": 0,
            "failures": 0,
            "last_error": "",
        }


async def test_the_metrics_count_requests_bytes_and_workers() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        async with aiohttp.ClientSession() as session, session.post(proxy.url, data=b"x" * 1000) as answer:
            length = len(await answer.read())
        await get(proxy, "/nothing")
        answer, text = await get(proxy, "/metrics")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = text.splitlines()
        assert 'tfleet_proxy_requests_total{route="/",status="200"} 1.0' in lines
        assert 'tfleet_proxy_requests_total{route="unknown",status="404"} 1.0' in lines
        assert "tfleet_proxy_received_bytes_total 1000.0" in lines
        assert f"tfleet_proxy_sent_bytes_total {float(length)}" in lines
        assert 'tfleet_proxy_workers{state="ready"} 1.0' in lines
        assert "tfleet_proxy_in_flight 0.0" in lines
