"""Which small requests are answered on the direct path (wsgi/direct.py), and how each protocol reads them.

A path is here in the spelling that clients mostly send; other spellings of a name are found by Flask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tfleet.contract.names import PREDICT_PATH
from tfleet.contract.problem import ProblemError
from tfleet.contract.tfs_paths import TfsAction
from tfleet.worker.api.image_tensors import ImageTensors
from tfleet.worker.api.infer import Infer
from tfleet.worker.api.model_routes import NAMED_MODEL, NAMED_VERSION, chosen
from tfleet.worker.api.oip_routes import INFER_RULES
from tfleet.worker.api.protocols.native import media_types
from tfleet.worker.api.tfs_requests import TfsRequests
from tfleet.worker.api.tfs_routes import ACTION_RULES

if TYPE_CHECKING:
    from tfleet.discovery.instance import Instance
    from tfleet.worker.api.model_routes import Predictions
    from tfleet.worker.api.prediction_request import PredictionRequest
    from tfleet.worker.api.read_prediction import ReadPrediction
    from tfleet.worker.wsgi.direct import DirectRequest

_NATIVE_RULES: Final = (
    PREDICT_PATH,
    *(f"{model}{end}" for model in (NAMED_MODEL, NAMED_VERSION) for end in ("", PREDICT_PATH)),
)


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """A protocol's predictions at one path. `rule` is the form of the path, as Flask has it.

    `takes` says whether a body of 8 KiB is read quickly, whatever it holds. `read` reads the request.
    """

    rule: str
    takes: Callable[[DirectRequest], bool]
    read: Callable[[PredictionRequest], ReadPrediction]


def direct_routes(predictions: Predictions) -> Mapping[str, DirectRoute]:
    """The routes by path, for a model that takes no images."""
    runs, instance = predictions.predict.runs, predictions.instance
    infer = Infer(instance, runs, predictions.classify)
    tfs = TfsRequests(runs, ImageTensors(runs, predictions.classify))

    def native(asked: PredictionRequest) -> ReadPrediction:
        return predictions.predict.read(asked, lambda model: chosen(model, None, asked.args))

    readers = [
        (_NATIVE_RULES, _is_json, native),
        (INFER_RULES, _always, lambda asked: infer.read(asked, _here)),
        (
            [rule for rule in ACTION_RULES if rule.endswith(f":{TfsAction.PREDICT}")],
            _always,
            lambda asked: tfs.read(TfsAction.PREDICT, asked, _here),
        ),
    ]
    return {
        path_of(rule, instance): DirectRoute(rule, takes, read)
        for rules, takes, read in readers
        for rule in rules
    }


def path_of(rule: str, instance: Instance) -> str:
    """The path of a rule for this worker's model."""
    name, version = quote(instance.model, safe=""), quote(instance.version, safe="")
    return rule.replace("<name>", name).replace("<version>", version)


def _is_json(request: DirectRequest) -> bool:
    """Other forms may take long to read, whatever their size."""
    try:
        kind = media_types.body_type(request.head.content_type.decode("latin-1"), request.body)
    except ProblemError:
        return False
    return kind == media_types.JSON


def _always(_request: DirectRequest) -> bool:
    return True


def _here() -> bool:
    """Only who decodes images asks whether the client has gone."""
    return False
