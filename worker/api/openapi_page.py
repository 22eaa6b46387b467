"""`GET /openapi.json`: the OpenAPI document of this worker, with its model."""

from __future__ import annotations

import functools
import json

from flask import Flask, Response

from tfleet import __version__
from tfleet.contract.names import OPENAPI_PATH
from tfleet.contract.openapi.described import ModelDescription, read_model_page
from tfleet.contract.openapi.document import ServerDescription, openapi_document
from tfleet.contract.openapi.pages import worker_pages
from tfleet.contract.openapi.places import ServedVersion
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.model_page import description
from tfleet.worker.api.model_routes import Predictions

_ABOUT = "One worker of a tfleet. It serves one version of one model."


def add_openapi_page(app: Flask, predictions: Predictions) -> None:
    """The page."""

    @app.get(OPENAPI_PATH)
    def openapi() -> Response:
        model, instance = predictions.lifecycle.model, predictions.instance
        if model is None:
            raise ProblemError(Problem(503, "the worker is loading its model", retry_after_s=1))
        page = description(instance, predictions.lifecycle.state, model, str(instance.address))
        return Response(_document(read_model_page(page)), content_type="application/json")


@functools.lru_cache(maxsize=1)
def _document(model: ModelDescription) -> bytes:
    server = ServerDescription(_ABOUT, __version__, worker_pages())
    return json.dumps(openapi_document(server, [ServedVersion(model, for_all=True)])).encode() + b"\n"
