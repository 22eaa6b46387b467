"""The routes of the Open Inference Protocol, below `/v2`.

The worker answers for its one model and version. Any other name or version is a 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Flask, Response, request

from tfleet.contract.names import JSON_LENGTH
from tfleet.worker.api.infer import Infer
from tfleet.worker.api.middleware import set_timing
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.protocols.accept_encoding import encoded
from tfleet.worker.wsgi.environ import CLIENT_GONE

if TYPE_CHECKING:
    from tfleet.worker.api.model_routes import Predictions

_MODEL: Final = "/v2/models/<name>"
_MODELS: Final = (_MODEL, f"{_MODEL}/versions/<version>")


def add_inference_routes(app: Flask, predictions: Predictions) -> None:
    """`POST /v2/models/NAME[/versions/V]/infer`."""
    infer = Infer(predictions.instance, predictions.predict.runs, predictions.classify)

    def answer(name: str, version: str | None = None) -> Response:
        predictions.check_model(name, version)
        asked = PredictionRequest.of(request)
        found, timing = infer(asked, request.environ.get(CLIENT_GONE, lambda: False))
        set_timing(timing)
        content, coding = encoded(found.content, asked.header("Accept-Encoding"))
        response = Response(content, content_type=found.media_type)
        if found.json_bytes is not None:
            response.headers[JSON_LENGTH] = str(found.json_bytes)
        if coding is not None:
            response.headers["Content-Encoding"] = coding
        return response

    for path in _MODELS:
        app.add_url_rule(f"{path}/infer", f"infer {path}", answer, methods=["POST"])
