from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from tests.httpd.servers import SERVERS, ServerFactory


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop on which the servers run."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=SERVERS.values(), ids=list(SERVERS))
def serving(request: pytest.FixtureRequest) -> ServerFactory:
    """Each of the servers in turn."""
    factory: ServerFactory = request.param
    return factory
