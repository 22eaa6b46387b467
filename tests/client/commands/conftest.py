"""A service of a test's own in each registry, for the commands that talk to one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.registered_models import RegisteredModels
from tfleet.contract.address import Address


@pytest.fixture(scope="module", params=REGISTRIES)
def registry(request: pytest.FixtureRequest) -> Iterator[Address]:
    with either_registry(request.param) as address:
        # With its first key the embedded registry, in this process, logs a line: not into a command's output.
        RegisteredModels(address).write("any", None)
        yield address


@pytest.fixture
def flowers(registry: Address) -> RegisteredModels:
    """The model flowers with two workers of version 1 and one of version 2."""
    registered = RegisteredModels(registry)
    registered.add("flowers", "1", 2)
    registered.add("flowers", "2")
    return registered
