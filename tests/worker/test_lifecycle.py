from tfleet.worker.lifecycle import Lifecycle, State
from tfleet.worker.model import Classifier


def test_a_worker_starts_is_ready_and_drains(classifier: Classifier) -> None:
    lifecycle = Lifecycle()
    assert lifecycle.state == State.STARTING.value
    assert lifecycle.classifier is None
    lifecycle.ready(classifier)
    assert lifecycle.state == State.READY.value
    assert lifecycle.classifier is classifier
    lifecycle.drain()
    assert repr(lifecycle) == "<Lifecycle draining>"
    assert lifecycle.classifier is classifier


def test_who_drains_never_becomes_ready_again(classifier: Classifier) -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    lifecycle.ready(classifier)
    assert lifecycle.state == State.DRAINING.value
