"""Requests for pages get the same verdicts from proxy and worker, with whatever body they come."""

from __future__ import annotations

import pytest

from tests.httpd.servers import SERVERS, ServerFactory, ServerOptions
from tests.support.raw_client import raw_client

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CASES = {
    "a body": (b"Content-Length: 5\r\n\r\nabcde", 200, True),
    "chunks": (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", 200, True),
    "a broken chunk": (CHUNKED + b"xx\r\nabc\r\n0\r\n\r\n", 400, False),
    "a body over the limit": (b"Content-Length: 99999999\r\n\r\n", 413, False),
    "an unknown expectation": (b"Expect: rain\r\n\r\n", 417, True),
    "a body that comes after 100 Continue": (
        b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        200,
        False,
    ),
}


@pytest.fixture(params=["proxy", "worker"])
def server_of_pages(request: pytest.FixtureRequest) -> ServerFactory:
    return SERVERS[request.param]


@pytest.mark.parametrize(("rest", "status", "kept"), CASES.values(), ids=CASES)
async def test_proxy_and_worker_treat_page_requests_alike(
    server_of_pages: ServerFactory, rest: bytes, status: int, kept: bool
) -> None:
    async with server_of_pages(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + rest)
        answer = await client.answer()
        assert answer.status == status
        assert (answer.headers.get("connection") != "close") is kept
        if kept:
            await client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.answer()).status == 200
