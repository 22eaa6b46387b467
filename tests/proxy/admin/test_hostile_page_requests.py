"""Requests that clients send to the proxy's own pages in order to harm it, or by mistake."""

from __future__ import annotations

import pytest

from tests.support.fake_worker import fake_worker, settings
from tests.support.raw_client import Answer, raw_client
from tfleet.proxy.server import single_process_proxy


async def ask(head: str) -> Answer:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        raw_client(proxy) as client,
    ):
        await client.send(head.replace("\n", "\r\n").encode() + b"\r\n")
        return await client.answer()


@pytest.mark.parametrize(
    "fields",
    [
        "".join(f"X-{number}: a\n" for number in range(126)),
        f"X-Forwarded-For: {'192.0.2.1, ' * 600}192.0.2.1\n" * 2,
        "Sec-WebSocket-Key1: a\n",
    ],
    ids=["many", "long", "an old WebSocket"],
)
async def test_fields_that_the_proxy_takes_are_taken_by_its_pages(fields: str) -> None:
    assert (await ask(f"GET /healthz HTTP/1.1\nHost: a\n{fields}")).status == 200


async def test_a_method_that_no_page_has_is_405() -> None:
    answer = await ask("FOO /healthz HTTP/1.1\nHost: a\n")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert "FOO" in answer.problem()["detail"]


async def test_pages_do_not_name_the_library() -> None:
    assert (await ask("GET /healthz HTTP/1.1\nHost: a\n")).headers["server"] == "tfleet"
