"""The model that is measured: ten columns G1 to G10, sixteen units, one probability. Seeded, not trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

COLUMNS: Final = tuple(f"G{number}" for number in range(1, 11))
_UNITS: Final = 16


def save(folder: Path) -> Path:
    """Write it as a SavedModel; returns its folder."""
    from tfleet.worker.model.tensorflow import tf  # noqa: PLC0415 - takes seconds

    rng = np.random.default_rng(2)
    module: Any = tf.Module()
    module.inner = tf.Variable(rng.normal(size=(len(COLUMNS), _UNITS)).astype(np.float32))
    module.outer = tf.Variable(rng.normal(size=(_UNITS, 1)).astype(np.float32))

    def serve(**columns: Any) -> dict[str, Any]:
        row = tf.concat([columns[name] for name in COLUMNS], axis=1)
        return {"p": tf.sigmoid(tf.nn.relu(row @ module.inner) @ module.outer)}

    inputs = {name: tf.TensorSpec([None, 1], tf.float32, name) for name in COLUMNS}
    module.serve = tf.function(serve).get_concrete_function(**inputs)
    path = folder / "table" / "1"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


def rows(count: int) -> dict[str, Any]:
    """So many rows: a float32 [count, 1] for each column."""
    table = np.random.default_rng(7).random((count, len(COLUMNS)), np.float32)
    return {name: table[:, index : index + 1] for index, name in enumerate(COLUMNS)}
