"""Images that come as values of a tensor become the tensor that an image model takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.classify import Classify
from tfleet.worker.api.problems import RejectedError
from tfleet.worker.api.signature_runs import SignatureRuns
from tfleet.worker.api.turn import Turn
from tfleet.worker.rejection import Rejection

if TYPE_CHECKING:
    from tfleet.worker.inference import Classifier
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.signature import Signature


def image_input(model: LoadedModel, signature: Signature) -> str | None:
    """The input of the signature that takes images; None if none does."""
    if model.classifier is None or signature.name != model.session.default:
        return None
    return model.classifier.image_input


@dataclass(frozen=True, slots=True)
class ImageTensors:
    """Prepares images one by one, as those of `POST /predict` are."""

    runs: SignatureRuns
    classify: Classify

    def prepared(
        self, model: LoadedModel, inputs: Tensors, name: str, turn: Turn, gone: Callable[[], bool]
    ) -> Tensors:
        """The inputs, with those images prepared that are in the input `name`. A tensor of numbers stays.

        Raises as a call does.
        """
        classifier = model.classifier
        if classifier is None or inputs[name].dtype != object:
            return inputs
        return {**inputs, name: self(classifier, inputs[name], turn, gone)}

    def __call__(
        self, classifier: Classifier, images: np.ndarray[Any, Any], turn: Turn, gone: Callable[[], bool]
    ) -> np.ndarray[Any, Any]:
        """What the model takes, of an array of images' bytes. All have the size of the first one.

        `gone` says whether the client has left. Raises RejectedError, ProblemError and ImageError.
        """
        flat, most = images.reshape(-1).tolist(), classifier.most_images
        if not flat or (most is not None and len(flat) > most):
            wanted = "at least one" if not flat else f"at most {most}"
            raise ProblemError(
                Problem(400, f"the request has {len(flat)} images, and the model takes {wanted} at once")
            )
        prepared: list[Any] = []
        for image in flat:
            if time.perf_counter() >= turn.deadline_s:
                raise RejectedError(Rejection.DEADLINE)
            prepared.append(self.classify.prepare(classifier, image, turn, gone))
            if len(prepared) == 1:
                size = len(flat) * (len(image) if isinstance(prepared[0], bytes) else prepared[0].nbytes)
                self.runs.limits.check_together(size)
                self.runs.limits.reserve(2 * size)  # one by one, and together
        found = classifier.tensor(prepared)
        return found.reshape(images.shape) if found.dtype == object else found
