"""From the file that a script saved to a version of a model that workers serve.

A process of its own reads the file under TensorFlow, writes a SavedModel, and compares its answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfleet.training.distributed.errors import TrainingFailedError
from tfleet.training.model_versions import new_version, publish
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.convert import convert
from tfleet.worker.model.keras.file import read_keras_file


def export(saved: Path, model: Path, progress: Callable[[str], None]) -> Path:
    """Make the next version in the folder `model`; the folder of that version, whole or not there.

    Raises TrainingFailedError.
    """
    try:
        with new_version(model) as work:
            # The user's own script has made the file, so its code may run.
            made = convert(read_keras_file(saved), work / "model", trust=True, progress=progress)
            if not made.compared:
                progress("no made-up input fits the model: its answers were not compared")
            return publish(made.folder, model)
    except ModelError as error:
        why = str(error).replace(str(saved), saved.name)  # it is a copy, which goes
        raise TrainingFailedError(f"the model is trained, and cannot be exported: {why}") from error
    except OSError as error:
        raise TrainingFailedError(
            f"the model is trained, and cannot be written to {model}: {error.strerror or error}"
        ) from error
