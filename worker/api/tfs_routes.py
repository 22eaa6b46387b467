"""The routes of TensorFlow Serving's REST API, below `/v1`.

The worker answers for its one model and version. Another name or version is a 404. A label is a 400: labels
of versions belong to the fleet's plan, and the proxy knows them. Whatever the type that a body states, it is
read as JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from flask import Flask, Response, jsonify, request

from tfleet.contract.identifiers import version_of_folder
from tfleet.contract.problem import Problem, ProblemError
from tfleet.contract.tfs_paths import RUNS, TfsAction, TfsPath, read_tfs_path, refused_request
from tfleet.worker.api.image_tensors import ImageTensors, image_input
from tfleet.worker.api.middleware import predicted
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.protocols.tfs import pages
from tfleet.worker.api.tfs_requests import TfsRequests
from tfleet.worker.lifecycle import LifecycleState
from tfleet.worker.wsgi.environ import CLIENT_GONE, REJECTED

if TYPE_CHECKING:
    from tfleet.worker.api.model_routes import Predictions

_MODEL: Final = "/v1/models/<name>"
_MODELS: Final = (_MODEL, f"{_MODEL}/versions/<version>")
ACTION_RULES: Final = tuple(f"{model}:{action}" for model in _MODELS for action in RUNS)
_RULES: Final = (
    "/v1/models",
    *_MODELS,
    *(f"{model}/metadata" for model in _MODELS),
    *ACTION_RULES,
    "/v1",
    "/v1/",
    "/<any(v1, V1):root>/<path:rest>",
)
"""`read_tfs_path` reads the path, and not Flask. The last rules take what is nothing of this API."""
_STATES: Final = {
    LifecycleState.STARTING: pages.LOADING,
    LifecycleState.READY: pages.AVAILABLE,
    LifecycleState.DRAINING: pages.UNLOADING,
}
_MOST_CHARS: Final = 100


def add_tfs_routes(app: Flask, predictions: Predictions) -> None:
    """Everything below `/v1`."""
    runs = predictions.predict.runs
    requests = TfsRequests(runs, ImageTensors(runs, predictions.classify))

    def answer(**_: str) -> Response:
        path = _read_path(predictions)
        if request.method != "POST":
            return jsonify(_page(path, predictions))
        asked, gone = PredictionRequest.of(request), request.environ.get(CLIENT_GONE, lambda: False)
        return predicted(runs.answered(lambda: requests.read(path.action, asked, gone)))

    for rule in _RULES:
        app.add_url_rule(rule, f"tfs {rule}", answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])


def _read_path(predictions: Predictions) -> TfsPath:
    """What is asked of this worker's model. Raises ProblemError; a rejected request is told of that first."""
    path = read_tfs_path(request.method, request.path)
    if path is None:
        if REJECTED in request.environ:
            return TfsPath(TfsAction.PREDICT)
        raise ProblemError(refused_request(request.method, request.path))
    if path.action == TfsAction.MODELS:
        return path
    version, here = path.version, predictions.instance.version
    if version is not None and version_of_folder(unquote(version)) == version_of_folder(here):
        version = here
    predictions.check_model(path.model, version)
    if path.label is not None and REJECTED not in request.environ:
        raise ProblemError(
            Problem(
                400,
                f"this worker knows no version called {unquote(path.label)[:_MOST_CHARS]!r}: ask the proxy, "
                "which knows the fleet's labels, or leave the label out",
            )
        )
    return path


def _page(path: TfsPath, predictions: Predictions) -> dict[str, Any]:
    instance, lifecycle = predictions.instance, predictions.lifecycle
    if path.action == TfsAction.MODELS:
        return {"models": [instance.model]}
    if path.action == TfsAction.STATUS:
        return pages.status_page([(instance.version, _STATES[lifecycle.state])])
    model = lifecycle.model
    if model is None:
        raise ProblemError(Problem(503, "the worker is loading its model", retry_after_s=1))
    signatures = model.session.signatures.values()
    images = {each.name: name for each in signatures if (name := image_input(model, each)) is not None}
    return pages.metadata_page(instance.model, instance.version, signatures, images)
