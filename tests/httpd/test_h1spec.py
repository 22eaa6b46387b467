"""h1spec's requests, at every server."""

from __future__ import annotations

import asyncio

import pytest

from tests.httpd.h1spec import H1SPEC, WAITS
from tests.httpd.servers import ServerFactory, ServerOptions
from tests.support.raw_client import raw_client

pytestmark = pytest.mark.process

_WAITED_S = 0.2


async def _status(server_says: asyncio.StreamReader) -> int:
    return int((await server_says.readline()).split(b" ")[1])


@pytest.mark.parametrize(("request_bytes", "statuses"), H1SPEC.values(), ids=H1SPEC)
async def test_h1spec(serving: ServerFactory, request_bytes: bytes, statuses: range) -> None:
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(request_bytes)
        if statuses == WAITS:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.reader.read(1), _WAITED_S)
        else:
            assert await asyncio.wait_for(_status(client.reader), 10) in statuses
