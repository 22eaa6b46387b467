"""A client of each kind for the registry under test, and a service name of the test's own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import consul
import consul.aio
import pytest

from tests.discovery.consul_api.calls import DEADLINE_S
from tfleet.contract.address import Address


@pytest.fixture
def client(server: Address) -> Iterator[consul.Consul]:
    client = consul.Consul(server.host, server.port, connections_timeout=DEADLINE_S)
    yield client
    client.http.session.close()


@pytest.fixture
async def aclient(server: Address) -> AsyncIterator[consul.aio.Consul]:
    client = consul.aio.Consul(server.host, server.port, verify=False, connections_timeout=DEADLINE_S)
    yield client
    await client.close()


@pytest.fixture
def name() -> str:
    return f"service-{uuid.uuid4().hex[:8]}"
