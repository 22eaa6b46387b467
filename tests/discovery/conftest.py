from collections.abc import Iterator

import pytest

from tests.support.consul_agent import consul_agent
from tests.support.embedded_registry import embedded_registry
from tfleet.contract.address import Address


@pytest.fixture(scope="module", params=["embedded", "consul"])
def server(request: pytest.FixtureRequest) -> Iterator[Address]:
    """Where a registry answers: what holds for one has to hold for the other."""
    if request.param == "embedded":
        with embedded_registry() as address:
            yield address
    else:
        with consul_agent() as agent:
            yield agent.address
