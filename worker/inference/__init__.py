"""Inference: from pixels to probabilities, in the one TensorFlow session of a worker.

`Classifier` is imported lazily because its module imports TensorFlow, which takes seconds: a wrong option or
path should be reported before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfleet.worker.inference.classifier import Classifier, PreparedImage, Probabilities

__all__ = ["Classifier", "PreparedImage", "Probabilities"]


def __getattr__(name: str) -> Any:
    if name == "Classifier":
        from tfleet.worker.inference.classifier import Classifier  # noqa: PLC0415 - late on purpose, see above

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
