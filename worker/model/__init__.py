"""The model that a worker serves: where it lies and what it is."""

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model
from tfleet.worker.model.spec import ModelSpec

__all__ = ["ModelError", "ModelSpec", "find_model"]
