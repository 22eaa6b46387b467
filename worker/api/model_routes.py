"""The routes of predictions, and those that describe the model.

- `POST /` takes an image. `POST /predict` takes what the model takes, and so does `GET /predict` for what
  fits into a query.
- `POST /embed` takes an image, and answers its vector.
- `/models/NAME[/versions/V][/signatures/S]`, with or without `/predict` behind it, does the same for a model
  that is named. A name or version that this worker does not serve is a 404: nothing is answered by another
  model than the one that was meant.
- Paths come as they were sent (wsgi/environ.py), so names in them are decoded here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from flask import Flask, Response, jsonify, request

from tfleet.contract.names import EMBED_PATH, EMBEDDING, MODELS_PATH, PREDICT_PATH
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.classify import Classify
from tfleet.worker.api.embed import Embed
from tfleet.worker.api.labels import named, number
from tfleet.worker.api.middleware import predicted, set_timing
from tfleet.worker.api.model_page import description, summary
from tfleet.worker.api.predict import Predict
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.query import SIGNATURE, QueryArgs, wanted_signature
from tfleet.worker.api.turn import take_turn
from tfleet.worker.inference.errors import UnknownSignatureError
from tfleet.worker.wsgi.environ import REJECTED

if TYPE_CHECKING:
    from tfleet.discovery.instance import Instance
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.lifecycle import Lifecycle
    from tfleet.worker.model.signature import Signature

NAMED_MODEL: Final = f"{MODELS_PATH}/<name>"
NAMED_VERSION: Final = f"{NAMED_MODEL}/versions/<version>"
_SIGNATURES: Final = tuple(f"{model}/signatures/<signature>" for model in (NAMED_MODEL, NAMED_VERSION))
_BELOW_MODELS: Final = (NAMED_MODEL, NAMED_VERSION, *_SIGNATURES)
_MOST_NAME_CHARS: Final = 100
_HOST: Final = re.compile(r"[A-Za-z0-9._\-:\[\]]{1,255}")
"""A host with or without a port. Anything else would be a surprise in a line for a shell."""


class Predictions:
    """Answers requests for predictions with images or with any other inputs, as the model takes them."""

    def __init__(
        self, instance: Instance, lifecycle: Lifecycle, classify: Classify, predict: Predict
    ) -> None:
        self.instance = instance
        self.lifecycle = lifecycle
        self.classify = classify
        self.predict = predict
        self.embed = Embed(classify)

    @property
    def waiting(self) -> int:
        """How many requests, whose inputs are decoded, wait for a run in the session."""
        return self.classify.waiting + self.predict.waiting

    def ranking(self) -> Response:
        """`POST /`: an image's labels as pairs."""
        ranking, timing = self.classify(request)
        set_timing(timing)
        probability = ranking.probabilities
        return jsonify([[label, number(score, probability=probability)] for label, score in ranking.labels])

    def labels(self) -> Response:
        """`POST /predict` to an image model."""
        ranking, timing = self.classify(request)
        set_timing(timing)
        predictions = named(ranking.labels, probability=ranking.probabilities)
        return jsonify({"success": True, "predictions": predictions})

    def outputs(self, signature: str | None) -> Response:
        """What a signature answers; None is the one in the query, or the default one."""
        asked = PredictionRequest.of(request)
        predict = self.predict
        return predicted(
            predict.runs.answered(
                lambda: predict.read(asked, lambda model: chosen(model, signature, asked.args))
            )
        )

    def any(self, signature: str | None = None, *, pairs: bool = False) -> Response:
        """`POST /predict`, to a model of any kind. `pairs`: an image's labels are answered as pairs."""
        if not self._takes_image(signature):
            return self.outputs(signature)
        return self.ranking() if pairs else self.labels()

    def vector(self) -> Response:
        """`POST /embed`: the vector of an image."""
        body, timing, space = self.embed(request)
        response = predicted((body, timing))
        response.headers[EMBEDDING] = space
        return response

    def query(self, signature: str | None = None) -> Response:
        """`GET /predict`: the input is in the query."""
        if not self._takes_image(signature):
            return self.outputs(signature)
        take_turn(PredictionRequest.of(request), self.lifecycle)
        detail = f"an image does not fit into a query: send it with POST {request.path[:_MOST_NAME_CHARS]}"
        raise ProblemError(Problem(405, detail, allow=("POST",)))

    def check_model(self, name: str, version: str | None) -> None:
        """Raise ProblemError (404) unless this worker serves it. A rejected request is told of that first."""
        here = self.instance
        meant = unquote(name)
        served = meant == here.model
        if version is not None:
            served = served and unquote(version) == here.version
            meant = f"{meant}, version {unquote(version)}"
        if served or REJECTED in request.environ:
            return
        detail = (
            f"this worker serves {here.model}, version {here.version}, and not {meant[:_MOST_NAME_CHARS]!r}"
        )
        raise ProblemError(Problem(404, detail))

    def _takes_image(self, signature: str | None) -> bool:
        """Whether the request is for the image classifier, or is rejected anyway."""
        model = self.lifecycle.model
        if model is None:
            return True
        # Where the path and the query name different ones, `outputs` says so in its turn.
        named = {signature, wanted_signature(PredictionRequest.of(request).args)} - {None}
        return model.classifier is not None and named <= {model.session.default}


def chosen(model: LoadedModel, in_path: str | None, args: QueryArgs) -> Signature:
    """The signature that is named in the path or the query, or the default one. Raises ProblemError."""
    in_query = wanted_signature(args)
    if in_path is not None and in_query is not None and in_path != in_query:
        raise ProblemError(Problem(400, f"the path names another signature than ?{SIGNATURE}="))
    try:
        return model.session.signature(in_query if in_path is None else in_path)
    except UnknownSignatureError as error:
        where = f" in ?{SIGNATURE}=NAME" if in_path is None and in_query is None else ""
        raise ProblemError(Problem(400 if in_path is None else 404, f"{error}{where}")) from error


def add_prediction_routes(app: Flask, predictions: Predictions) -> None:
    """`/`, `/predict`, and predictions below `/models`."""
    app.add_url_rule("/", "classify_plain", predictions.ranking, methods=["POST"])
    app.add_url_rule(PREDICT_PATH, "predict", predictions.any, methods=["POST"])
    app.add_url_rule(PREDICT_PATH, "predict_query", predictions.query, methods=["GET"])

    app.add_url_rule(EMBED_PATH, "embed", predictions.vector, methods=["POST"])

    def embed(name: str, version: str | None = None) -> Response:
        predictions.check_model(name, version)
        return predictions.vector()

    for path in (NAMED_MODEL, NAMED_VERSION):
        app.add_url_rule(f"{path}{EMBED_PATH}", f"post {path}{EMBED_PATH}", embed, methods=["POST"])

    def post(name: str, version: str | None = None, signature: str | None = None) -> Response:
        predictions.check_model(name, version)
        pairs = not request.path.endswith(PREDICT_PATH)
        return predictions.any(_decoded(signature), pairs=pairs)

    def get(name: str, version: str | None = None, signature: str | None = None) -> Response:
        predictions.check_model(name, version)
        return predictions.query(_decoded(signature))

    for path in _BELOW_MODELS:
        app.add_url_rule(path, f"post {path}", post, methods=["POST"])
        app.add_url_rule(f"{path}{PREDICT_PATH}", f"post {path}/predict", post, methods=["POST"])
        app.add_url_rule(f"{path}{PREDICT_PATH}", f"get {path}/predict", get, methods=["GET"])


def add_model_pages(app: Flask, instance: Instance, lifecycle: Lifecycle, predictions: Predictions) -> None:
    """`GET /models`, and what is below it for each model."""

    @app.get(MODELS_PATH)
    def models() -> Response:
        return jsonify(models=[summary(instance, lifecycle.state, lifecycle.model)])

    def model(name: str, version: str | None = None, signature: str | None = None) -> Response:
        predictions.check_model(name, version)
        loaded = lifecycle.model
        if loaded is None:
            raise ProblemError(Problem(503, "the worker is loading its model", retry_after_s=1))
        page: dict[str, Any] = description(instance, lifecycle.state, loaded, reached_at(instance))
        if signature is None:
            return jsonify(page)
        return jsonify(
            page["signatures"][chosen(loaded, _decoded(signature), PredictionRequest.of(request).args).name]
        )

    for path in _BELOW_MODELS:
        app.add_url_rule(path, f"about {path}", model, methods=["GET"])


def reached_at(instance: Instance) -> str:
    """How the client has reached the fleet, for lines to paste: at a proxy, or at this worker."""
    headers = request.headers
    for host in (headers.get("X-Forwarded-Host", ""), request.host):
        if _HOST.fullmatch(host):
            return f"https://{host}" if headers.get("X-Forwarded-Proto") == "https" else host
    return str(instance.address)


def _decoded(name: str | None) -> str | None:
    return None if name is None else unquote(name)
