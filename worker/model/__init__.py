"""The model that a worker serves: where it lies, what it is, and the one TensorFlow session that runs it.

`Classifier` is reached lazily because its module imports TensorFlow, which takes seconds: a wrong path is to
be reported before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model
from tfleet.worker.model.spec import ModelSpec

if TYPE_CHECKING:
    from tfleet.worker.model.session import Classifier, PreparedImage, Probabilities

__all__ = ["Classifier", "ModelError", "ModelSpec", "PreparedImage", "Probabilities", "find_model"]


def __getattr__(name: str) -> Any:
    if name == "Classifier":
        from tfleet.worker.model.session import Classifier  # noqa: PLC0415 - late on purpose, see above

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
