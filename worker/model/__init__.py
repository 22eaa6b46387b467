"""The model that a worker serves: its files, its description and its graph."""

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model
from tfleet.worker.model.spec import ModelSpec

__all__ = ["ModelError", "ModelSpec", "find_model"]
