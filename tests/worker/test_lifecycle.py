import time

import pytest

from tfleet.worker.inference import Classifier
from tfleet.worker.lifecycle import Lifecycle, LifecycleState

pytestmark = pytest.mark.process


def test_a_worker_starts_is_ready_and_drains(classifier: Classifier) -> None:
    lifecycle = Lifecycle()
    assert lifecycle.state == LifecycleState.STARTING.value
    assert lifecycle.classifier is None
    lifecycle.ready(classifier)
    assert lifecycle.state == LifecycleState.READY.value
    assert lifecycle.classifier is classifier
    lifecycle.drain()
    assert repr(lifecycle) == "<Lifecycle draining>"
    assert lifecycle.classifier is classifier


def test_a_worker_that_is_loaded_answers_but_is_not_ready_yet(classifier: Classifier) -> None:
    lifecycle = Lifecycle()
    lifecycle.loaded(classifier)
    assert lifecycle.classifier is classifier
    assert lifecycle.state == LifecycleState.STARTING.value


def test_an_obstacle_is_reported_only_while_it_lasts(classifier: Classifier) -> None:
    lifecycle = Lifecycle()
    assert lifecycle.condition == "the worker is starting"
    lifecycle.held_up("nobody reaches it")
    assert lifecycle.condition == "the worker is starting: nobody reaches it"
    lifecycle.held_up("")
    assert lifecycle.condition == "the worker is starting"
    lifecycle.ready(classifier)
    lifecycle.held_up("nobody reaches it")
    assert lifecycle.condition == "the worker is ready"


def test_only_requests_after_the_grace_are_refused() -> None:
    lifecycle = Lifecycle()
    before_s = time.perf_counter()
    lifecycle.drain()
    assert not lifecycle.refuses(time.perf_counter())
    lifecycle.refuse()
    assert not lifecycle.refuses(before_s)
    assert lifecycle.refuses(time.perf_counter())


def test_a_draining_worker_never_becomes_ready_again(classifier: Classifier) -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    lifecycle.ready(classifier)
    assert lifecycle.state == LifecycleState.DRAINING.value
