from collections.abc import Iterator

import pytest

from tests.support.running_worker import load, serving
from tfleet.contract.address import Address
from tfleet.worker.inference import Classifier


@pytest.fixture(scope="session")
def classifier() -> Iterator[Classifier]:
    """The default model in its session, once for all tests that only ask it."""
    classifier = load()
    yield classifier
    classifier.close()


@pytest.fixture
def worker(classifier: Classifier) -> Iterator[Address]:
    """The address of a worker that is ready."""
    with serving(classifier) as (address, _):
        yield address
