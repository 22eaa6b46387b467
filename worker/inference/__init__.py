"""From pixels to probabilities: the one TensorFlow session.

`Classifier` is reached lazily because its module imports TensorFlow, which takes seconds: a wrong path is to
be reported before that.
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
