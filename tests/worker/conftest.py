from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tfleet.contract.address import Address
    from tfleet.worker.inference import Classifier

# TensorFlow takes seconds to import, and most tests below this folder do without it: the fixtures import it.


@pytest.fixture(scope="session")
def classifier() -> Iterator[Classifier]:
    """The default model in its session, once for all tests that only ask it."""
    from tests.support.running_worker import load  # noqa: PLC0415 - see above

    classifier = load()
    yield classifier
    classifier.close()


@pytest.fixture
def worker(classifier: Classifier) -> Iterator[Address]:
    """The address of a worker that is ready."""
    from tests.support.running_worker import serving  # noqa: PLC0415 - see above

    with serving(classifier) as (address, _):
        yield address
