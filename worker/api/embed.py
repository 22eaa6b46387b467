"""`POST /embed`: the vector of an image, by the embedding that the model names (worker/model/embedding.py).

The image is read, decoded and limited as for a classification, and waits for the session in the same queue:
only the run is another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from flask import Request

from tfleet.contract.names import TICKET_QUERY
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.classify import Classify
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.protocols.native import DecodedInputs, answer_type, encode
from tfleet.worker.api.query import check_parameters
from tfleet.worker.api.read_prediction import PredictionBody
from tfleet.worker.api.turn import take_turn
from tfleet.worker.metrics import StageTimes
from tfleet.worker.model.signature import Signature, TensorInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfleet.worker.inference.loaded_model import LoadedModel

OUTPUT: Final = "embedding"
"""What the answer calls the vector, whatever the tensor's name."""

_KNOWN: Final = frozenset({TICKET_QUERY})


class Embed:
    """Answers requests for vectors."""

    def __init__(self, classify: Classify) -> None:
        self._classify = classify

    def __call__(self, request: Request) -> tuple[PredictionBody, StageTimes, str]:
        """The answer's body, the times of the stages, and the space of the vector.

        Raises RejectedError (nothing was computed), ProblemError and ImageError.
        """
        asked = PredictionRequest.of(request)
        model, turn = take_turn(asked, self._classify.lifecycle)
        classifier = model.classifier
        if classifier is None or classifier.embedding is None:
            raise ProblemError(_no_embedding(model))
        check_parameters(asked.args, _KNOWN)
        media_type = answer_type(asked.header("Accept"))
        vector, timing = self._classify.run_image(request, classifier, turn, embeds=True)
        body = PredictionBody(_encoded(vector, media_type), media_type)
        return body, timing, classifier.embedding.space


def _encoded(vector: npt.NDArray[np.float32], media_type: str) -> bytes:
    """The vector as the answer of a signature with one output, to one row."""
    output = TensorInfo(OUTPUT, "", "float32", (None, len(vector)))
    one_row = DecodedInputs({}, 1, one_row=True)
    outputs: dict[str, npt.NDArray[Any]] = {OUTPUT: vector[np.newaxis]}
    return encode(outputs, one_row, media_type, Signature(OUTPUT, (), (output,)))


def _no_embedding(model: LoadedModel) -> Problem:
    name = model.spec.name
    if model.classifier is None:
        why = f"it takes no images (its kind is {model.facts.kind.value})"
    else:
        why = "its model.toml names none: set embedding under [output]"
    return Problem(404, f"the model {name} has no embedding: {why}")
