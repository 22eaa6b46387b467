"""Ambiguous requests (request smuggling) are refused alike by every server, and serve nothing."""

from __future__ import annotations

import pytest

from tests.httpd.ambiguous import READ, REFUSED
from tests.httpd.servers import ServerFactory, ServerOptions
from tests.support.raw_client import raw_client

_AS_PAGE = {
    name: request.replace(b"POST / ", b"GET /healthz ", 1)
    for name, request in REFUSED.items()
    if request.startswith(b"POST / ")
}


@pytest.mark.parametrize(
    "request_bytes",
    [*REFUSED.values(), *_AS_PAGE.values()],
    ids=[*REFUSED, *(f"{name} (page)" for name in _AS_PAGE)],
)
async def test_an_ambiguous_request_gets_400_and_a_closed_connection(
    serving: ServerFactory, request_bytes: bytes
) -> None:
    async with serving(ServerOptions()) as server:
        async with raw_client(server.address) as client:
            await client.send(request_bytes)
            refusal = await client.answer()
            assert refusal.status == 400
            assert refusal.problem()["detail"]
            assert refusal.headers["x-request-id"]
            assert refusal.headers["connection"] == "close"
            assert await client.ends() == b"", "what follows is not answered"
        assert server.bodies() == []


@pytest.mark.parametrize("request_bytes", READ.values(), ids=READ)
async def test_unusual_but_valid_requests_are_accepted(serving: ServerFactory, request_bytes: bytes) -> None:
    async with serving(ServerOptions()) as server:
        async with raw_client(server.address) as client:
            await client.send(request_bytes)
            assert (await client.answer()).status == 200
        assert server.bodies() == [b"abcd"]
