"""The default model, loaded as a worker loads it, for servers in this process (worker_http.py)."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.support.worker_http import MAX_BODY_BYTES, QUEUE_LIMITS, serving
from tfleet.worker.inference import Classifier
from tfleet.worker.model import find_model

__all__ = ["MAX_BODY_BYTES", "QUEUE_LIMITS", "load", "serving"]


def load(session_factory: Callable[..., Any] = tf.compat.v1.Session) -> Classifier:
    """The default model, warm; up to eight images run together, whether that pays here or not."""
    classifier = Classifier.load(find_model(None), session_factory=session_factory)
    classifier.warm_up((1, 2, 4, 8))
    classifier.batch_sizes = (1, 2, 4, 8)
    return classifier
