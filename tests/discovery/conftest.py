from collections.abc import Iterator

import pytest

from tests.support.either_registry import REGISTRIES, either_registry
from tfleet.contract.address import Address


@pytest.fixture(scope="module", params=REGISTRIES)
def server(request: pytest.FixtureRequest) -> Iterator[Address]:
    """Where a registry answers: what holds for one has to hold for the other."""
    with either_registry(request.param) as address:
        yield address
