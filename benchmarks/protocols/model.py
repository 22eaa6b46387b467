"""The model of pixels that is measured: ten numbers of an image's mean colour.

It computes next to nothing, so that a difference between two protocols is not hidden behind the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

NAME: Final = "pixels"
INPUT: Final = "x"
SHAPE: Final = (1, 224, 224, 3)
_UNITS: Final = 10


def save(folder: Path) -> Path:
    """Write it as a SavedModel; returns its folder."""
    from tfleet.worker.model.tensorflow import tf  # noqa: PLC0415 - takes seconds

    module: Any = tf.Module()
    weights = np.random.default_rng(2).normal(size=(SHAPE[-1], _UNITS))
    module.weights = tf.Variable(weights.astype(np.float32))

    def serve(x: Any) -> dict[str, Any]:
        return {"y": tf.reduce_mean(x, axis=(1, 2)) @ module.weights}

    wanted = tf.TensorSpec([None, *SHAPE[1:]], tf.float32, INPUT)
    module.serve = tf.function(serve).get_concrete_function(wanted)
    path = folder / NAME / "1"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    # An input of this shape may be taken for an image's.
    (path / "model.toml").write_text('[model]\nkind = "tensors"\n')
    return path


def pixels() -> Any:
    """The pixels of one image as 150,528 float32."""
    return np.random.default_rng(7).random(SHAPE, np.float32)
