"""The pages of the Open Inference Protocol, below `/v2`: health, metadata, configuration, statistics, index.

- The worker answers for its one model and version. Any other name or version is a 404.
- `?signature=S` describes another signature than the default one, as it runs another one.
- A worker loads no model on request, and unloads none: the answer says what a fleet does instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, jsonify, request

from tfleet import __version__
from tfleet.contract.open_inference import read_options, server_metadata
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.image_tensors import image_input
from tfleet.worker.api.model_routes import chosen
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.problems import RejectedError
from tfleet.worker.api.protocols.oip import documents
from tfleet.worker.api.protocols.oip.documents import DescribedModel
from tfleet.worker.inference.rows import maps_rows
from tfleet.worker.lifecycle import LifecycleState
from tfleet.worker.wsgi.environ import REJECTED

if TYPE_CHECKING:
    from tfleet.worker.api.model_routes import Predictions

_MODEL: Final = "/v2/models/<name>"
_MODELS: Final = (_MODEL, f"{_MODEL}/versions/<version>")
_REPOSITORY: Final = "/v2/repository"
_STATES: Final = {
    LifecycleState.STARTING: "LOADING",
    LifecycleState.READY: "READY",
    LifecycleState.DRAINING: "UNLOADING",
}
_UNLOAD: Final = (
    "a worker keeps its model as long as it runs: take it out of the fleet with `tfleet drain ID`, or remove "
    "the version from the folder of `tfleet up --models`"
)
_OTHER_FILES: Final = (
    "a worker takes neither a model nor a configuration in a request: put the version into the folder of "
    "`tfleet up --models`, or start a worker with it, and move traffic with `tfleet rollout`"
)


_NOT_HERE: Final = ("/v2/trace/setting", f"{_MODEL}/trace/setting", "/v2/logging")
_SHARED: Final = ("/v2/systemsharedmemory", "/v2/cudasharedmemory")


class OipWorkerPages:
    """The answers, as data. They raise ProblemError and RejectedError."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions
        self._instance = predictions.instance
        self._lifecycle = predictions.lifecycle

    @property
    def _is_ready(self) -> bool:
        return self._lifecycle.state is LifecycleState.READY

    def readiness(self, members: dict[str, Any]) -> Response:
        """`ready` with other members. 503, as an error that has these as well, until the worker is ready, and
        while it drains.
        """
        if self._is_ready:
            return jsonify({**members, "ready": True})
        problem = Problem(503, self._lifecycle.condition, retry_after_s=1)
        body = problem.body(request.path, **members, ready=False)
        return Response(body, status=problem.status, headers=problem.headers(request.path))

    def described(self) -> DescribedModel:
        """The model with the signature that the query names."""
        model = self._lifecycle.model
        if model is None:
            raise ProblemError(Problem(503, "the worker is loading its model", retry_after_s=1))
        signature = chosen(model, None, PredictionRequest.of(request).args)
        return DescribedModel(
            self._instance.model,
            self._instance.version,
            documents.GRAPH if model.spec.path.is_file() else documents.SAVED_MODEL,
            signature,
            maps_rows(signature),
            self._predictions.predict.runs.limits.rows,
            model.concurrent_runs,
            image_input=image_input(model, signature),
        )

    def statistics(self) -> dict[str, Any]:
        """All that was computed since the worker began."""
        totals = self._predictions.predict.runs.metrics.totals
        return documents.model_statistics(self._instance.model, self._instance.version, totals)

    def index(self) -> list[Any]:
        """The one model. `{"ready": true}` in the body leaves it out unless it is ready."""
        entry = {
            "name": self._instance.model,
            "version": self._instance.version,
            "state": _STATES[self._lifecycle.state],
            "reason": "" if self._is_ready else self._lifecycle.condition,
        }
        ready_only = self._options().get("ready") is True
        return [entry] if self._is_ready or not ready_only else []

    def load(self, name: str) -> Response:
        """Nothing has to be done for the model that is there: 200 once it is ready."""
        self._predictions.check_model(name, None)
        if self._options().get("parameters"):
            raise ProblemError(Problem(400, _OTHER_FILES))
        return self.readiness({"name": self._instance.model})

    def _options(self) -> dict[str, Any]:
        if REJECTED in request.environ:
            raise RejectedError(request.environ[REJECTED])
        return read_options(request.get_data(cache=False), request.headers.get("Content-Encoding"))


def add_oip_pages(app: Flask, predictions: Predictions) -> None:
    """All of them."""
    pages = OipWorkerPages(predictions)
    _add_server_pages(app, pages)
    _add_repository(app, predictions, pages)
    _add_other_extensions(app)

    def metadata(name: str, version: str | None = None) -> Response:
        predictions.check_model(name, version)
        return jsonify(documents.model_metadata(pages.described()))

    def ready(name: str, version: str | None = None) -> Response:
        predictions.check_model(name, version)
        return pages.readiness({"name": predictions.instance.model})

    def config(name: str, version: str | None = None) -> Response:
        predictions.check_model(name, version)
        return jsonify(documents.model_configuration(pages.described()))

    def stats(name: str, version: str | None = None) -> Response:
        predictions.check_model(name, version)
        return jsonify(pages.statistics())

    for path in _MODELS:
        for below, page in (("", metadata), ("/ready", ready), ("/config", config), ("/stats", stats)):
            app.add_url_rule(f"{path}{below}", f"get {path}{below}", page, methods=["GET"])


def _add_server_pages(app: Flask, pages: OipWorkerPages) -> None:
    @app.get("/v2")
    @app.get("/v2/")
    def about_server() -> Response:
        return jsonify(server_metadata(__version__))

    @app.get("/v2/health/live")
    def live() -> Response:
        return jsonify(live=True)

    @app.get("/v2/health/ready")
    def server_ready() -> Response:
        return pages.readiness({"live": True})

    @app.get("/v2/models/stats")
    def all_statistics() -> Response:
        return jsonify(pages.statistics())


def _add_repository(app: Flask, predictions: Predictions, pages: OipWorkerPages) -> None:
    @app.post(f"{_REPOSITORY}/index")
    def model_index() -> Response:
        return jsonify(pages.index())

    @app.post(f"{_REPOSITORY}/models/<name>/load")
    def load(name: str) -> Response:
        return pages.load(name)

    @app.post(f"{_REPOSITORY}/models/<name>/unload")
    def unload(name: str) -> Response:
        predictions.check_model(name, None)
        if REJECTED in request.environ:
            raise RejectedError(request.environ[REJECTED])
        raise ProblemError(Problem(400, _UNLOAD))


def _add_other_extensions(app: Flask) -> None:
    """What Triton's clients may ask for that is not here. No memory is shared, so there is nothing to end."""

    def not_here(name: str = "") -> Response:
        detail = f"this server has no {request.path}: GET /v2 lists the extensions that it has"
        raise ProblemError(Problem(404, detail))

    def no_regions(name: str = "") -> Response:
        return jsonify([])

    def not_registered(name: str) -> Response:
        raise ProblemError(Problem(400, "no memory is shared with clients here: send tensors in the body"))

    def unregistered(name: str = "") -> Response:
        return jsonify({})

    for path in _NOT_HERE:
        app.add_url_rule(path, f"no {path}", not_here, methods=["GET", "POST"])
    for path in _SHARED:
        for region in ("", "/region/<name>"):
            app.add_url_rule(f"{path}{region}/status", f"{path}{region}/status", no_regions, methods=["GET"])
            app.add_url_rule(
                f"{path}{region}/unregister", f"{path}{region}/unregister", unregistered, methods=["POST"]
            )
        register = f"{path}/region/<name>/register"
        app.add_url_rule(register, register, not_registered, methods=["POST"])
