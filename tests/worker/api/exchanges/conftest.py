"""The model of the exchanges, at a worker and behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.worker.api.exchanges.model import NAME, fake_model
from tests.worker.api.exchanges.ways import Way, ways_to


@pytest.fixture(scope="module")
def ways() -> Iterator[dict[str, Way]]:
    with ways_to(fake_model(), NAME) as found:
        yield found


@pytest.fixture(params=["worker", "proxy"])
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    return ways[request.param]
