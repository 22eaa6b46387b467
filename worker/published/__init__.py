"""The port under which Docker has published this worker: found by asking the engine for its own container."""

from tfleet.worker.published.errors import NotPublishedError
from tfleet.worker.published.port import published_port

__all__ = ["NotPublishedError", "published_port"]
