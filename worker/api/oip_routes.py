"""The routes of the Open Inference Protocol, below `/v2`.

The worker answers for its one model and version. Any other name or version is a 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Flask, Response, request

from tfleet.worker.api.infer import Infer
from tfleet.worker.api.middleware import predicted
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.wsgi.environ import CLIENT_GONE

if TYPE_CHECKING:
    from tfleet.worker.api.model_routes import Predictions

_MODEL: Final = "/v2/models/<name>"
INFER_RULES: Final = (f"{_MODEL}/infer", f"{_MODEL}/versions/<version>/infer")


def add_oip_routes(app: Flask, predictions: Predictions) -> None:
    """`POST /v2/models/NAME[/versions/V]/infer`."""
    runs = predictions.predict.runs
    infer = Infer(predictions.instance, runs, predictions.classify)

    def answer(name: str, version: str | None = None) -> Response:
        predictions.check_model(name, version)
        asked, gone = PredictionRequest.of(request), request.environ.get(CLIENT_GONE, lambda: False)
        return predicted(runs.answered(lambda: infer.read(asked, gone)))

    for rule in INFER_RULES:
        app.add_url_rule(rule, f"infer {rule}", answer, methods=["POST"])
