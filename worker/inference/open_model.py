"""Load a model as what it is: a classifier of images, or a model that is asked with arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfleet.worker.inference.classifier import Classifier
from tfleet.worker.inference.examples import find_examples
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.inference.tensor_model import TensorModel
from tfleet.worker.model.kind import ModelKind

if TYPE_CHECKING:
    from tfleet.worker.inference.examples import ReadBody
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.precision import Precision
    from tfleet.worker.model.spec import ModelSpec


def load_model(
    spec: ModelSpec,
    *,
    cpus: int | None = None,
    precision: Precision = "float32",
    read_body: ReadBody | None = None,
) -> LoadedModel:
    """Load the model into a new session on `cpus` CPUs, by default all that the process may use.

    `read_body` reads the examples that come with it; without it inputs are generated for the warm-up. Raises
    `ModelError`; no session is left open then.
    """
    session = ModelSession.load(spec, cpus=cpus, precision=precision)
    try:
        if session.facts.kind.value is ModelKind.IMAGE:
            return Classifier.of(session)
        return TensorModel(session, {} if read_body is None else find_examples(session, read_body))
    except BaseException:
        session.close()
        raise
