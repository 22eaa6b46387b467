"""Ambiguous requests (request smuggling) are refused alike by every server, and serve nothing."""

from __future__ import annotations

import pytest

from tests.httpd.ambiguous import READ, REFUSED
from tests.httpd.servers import RunningServer, ServerFactory, ServerOptions
from tests.support.raw_client import raw_client

_ENOUGH_FAILURES = 5
"""A server that no longer answers would take ten seconds for each request."""


@pytest.mark.parametrize("group", REFUSED)
async def test_an_ambiguous_request_gets_400_and_a_closed_connection(
    serving: ServerFactory, group: str
) -> None:
    failures: dict[str, str] = {}
    async with serving(ServerOptions()) as server:
        for name, request_bytes in _with_pages(group).items():
            try:
                await _check_refusal(server, request_bytes)
            except Exception as error:  # whatever it is, the failure has to name the request
                failures[name] = f"{type(error).__name__}: {error}"
            if len(failures) == _ENOUGH_FAILURES:
                break
    assert not failures, "\n".join(f"{name}: {error}" for name, error in failures.items())


def _with_pages(group: str) -> dict[str, bytes]:
    """The requests of a group, each also as one for a page."""
    as_pages = {
        f"{name} (page)": request.replace(b"POST / ", b"GET /healthz ", 1)
        for name, request in REFUSED[group].items()
        if request.startswith(b"POST / ")
    }
    return {**REFUSED[group], **as_pages}


async def _check_refusal(server: RunningServer, request_bytes: bytes) -> None:
    served = server.bodies()
    async with raw_client(server.address) as client:
        await client.send(request_bytes)
        refusal = await client.answer()
        assert refusal.status == 400
        assert refusal.problem()["detail"]
        assert refusal.headers["x-request-id"]
        assert refusal.headers["connection"] == "close"
        assert await client.ends() == b"", "what follows is not answered"
    assert server.bodies() == served, "nothing is served"


@pytest.mark.parametrize("request_bytes", READ.values(), ids=READ)
async def test_unusual_but_valid_requests_are_accepted(serving: ServerFactory, request_bytes: bytes) -> None:
    async with serving(ServerOptions()) as server:
        async with raw_client(server.address) as client:
            await client.send(request_bytes)
            assert (await client.answer()).status == 200
        assert server.bodies() == [b"abcd"]
