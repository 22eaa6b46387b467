"""A service of a test's own in each registry: workers that are registered, and its plans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster

from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.registered_models import RegisteredModels
from tfleet.contract.address import Address


@pytest.fixture(scope="module", params=REGISTRIES)
def server(request: pytest.FixtureRequest) -> Iterator[Address]:
    with either_registry(request.param) as address:
        yield address


@pytest.fixture
def registered(server: Address, nothing_blocks_an_event_loop: BlockBuster) -> RegisteredModels:
    # It is the test's own, and blocks while it acts in between.
    for function in nothing_blocks_an_event_loop.functions.values():
        function.can_block_in("tests/support/registered_models.py", {"add", "stored", "write"})
    return RegisteredModels(server)
