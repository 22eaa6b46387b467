"""Classifiers for the tests of this folder. TensorFlow is loaded by the first test that wants one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tfleet.worker.inference import Classifier


@pytest.fixture(scope="module")
def default() -> Iterator[Classifier]:
    from tfleet.worker.inference import Classifier  # noqa: PLC0415 - it imports TensorFlow
    from tfleet.worker.model import find_model  # noqa: PLC0415

    classifier = Classifier.load(find_model(None))
    classifier.warm_up()
    yield classifier
    classifier.close()


@pytest.fixture
def load() -> Iterator[Callable[..., Classifier]]:
    """Load a model by find_model's arguments; it is closed at the end."""
    from tfleet.worker.inference import Classifier  # noqa: PLC0415 - it imports TensorFlow
    from tfleet.worker.model import find_model  # noqa: PLC0415

    loaded = []

    def load(*args: Any, **options: Any) -> Classifier:
        loaded.append(Classifier.load(find_model(*args, **options)))
        return loaded[-1]

    yield load
    for classifier in loaded:
        classifier.close()
