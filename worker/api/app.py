"""The worker's routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, jsonify, request

from tfleet.contract.cors import CORS_OFF, Cors
from tfleet.contract.names import DRAIN_PATH
from tfleet.contract.origin import foreign_host, foreign_page, machine
from tfleet.contract.problem import Problem, ProblemError
from tfleet.discovery.instance import Instance
from tfleet.worker.address.addresses import WorkerAddresses
from tfleet.worker.api.middleware import allow_origins, observe, raise_failures, report_errors
from tfleet.worker.api.model_page import example_line, is_stateful
from tfleet.worker.api.model_routes import Predictions, add_model_pages, add_prediction_routes
from tfleet.worker.api.oip_pages import add_oip_pages
from tfleet.worker.api.oip_routes import add_oip_routes
from tfleet.worker.api.openapi_page import add_openapi_page
from tfleet.worker.api.problems import RejectedError
from tfleet.worker.api.tfs_routes import add_tfs_routes
from tfleet.worker.lifecycle import Lifecycle, LifecycleState
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.wsgi.environ import REJECTED

if TYPE_CHECKING:
    from tfleet.worker.inference.loaded_model import LoadedModel

_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_MOST_ID_CHARS: Final = 200


def help_page(host: str, model: LoadedModel | None = None) -> str:
    """A short text with lines to paste; `host` is how the client reached the worker."""
    if model is not None and model.classifier is None:
        return _help_for_tensors(host, model)
    return f"""\
This is one worker of a tfleet. It classifies images:

  curl -v -XPOST {host} -F "data=@cat.jpg"
  curl -X POST -F image=@cat.jpg 'http://{host}/predict'

?top=N            how many labels, best first
GET /openapi.json all paths, for programs; /v1 as TensorFlow Serving, /v2 as Triton
GET /worker       this worker's address, /healthz, /readyz, /metrics
"""


def _help_for_tensors(host: str, model: LoadedModel) -> str:
    return f"""\
This is one worker of a tfleet. It serves {model.spec.label} ({model.facts.kind.value}):

  {example_line(model, host)}

GET /models/NAME  the model's inputs and outputs, with an example of each signature
GET /openapi.json all paths, for programs; /v1 as TensorFlow Serving, /v2 as Triton
GET /worker       this worker's address, /healthz, /readyz, /metrics
"""


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Which worker it is, where it is reached, and what it is doing."""

    instance: Instance
    addresses: WorkerAddresses
    lifecycle: Lifecycle


def make_app(
    identity: WorkerIdentity,
    predictions: Predictions,
    metrics: WorkerMetrics,
    drain: Callable[[], None],
    cors: Cors = CORS_OFF,
) -> Flask:
    """The WSGI application of one worker. `drain` begins its end, and returns at once. `cors` is for clients
    that are web pages.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # //healthz is another path than /healthz, as at the proxy
    app.json.sort_keys = False  # type: ignore[attr-defined] # Flask types the provider's base class only
    observe(app, identity.instance, metrics, lambda: predictions.waiting)
    metrics.waiting.set_function(lambda: predictions.waiting)
    report_errors(app, metrics)
    raise_failures(app)
    if cors:
        allow_origins(app, cors)
    add_prediction_routes(app, predictions)
    add_model_pages(app, identity.instance, identity.lifecycle, predictions)
    add_oip_routes(app, predictions)
    add_oip_pages(app, predictions)
    add_tfs_routes(app, predictions)
    add_openapi_page(app, predictions)
    _about(app, identity)
    machine()  # which looks its name up, so that it is there when it is asked for
    _leaving(app, identity, drain)
    _health(app, identity, metrics)
    return app


def _about(app: Flask, identity: WorkerIdentity) -> None:
    instance, addresses = identity.instance, identity.addresses

    @app.get("/")
    def show_help() -> Response:
        return _text(help_page(request.host, identity.lifecycle.model))

    @app.get("/worker")
    def address() -> Response:
        if "application/json" not in request.headers.get("Accept", ""):
            return _text(f"{addresses.address}\n")
        model = identity.lifecycle.model
        return jsonify(
            id=instance.id,
            address=str(addresses.address),
            wan=None if addresses.wan is None else str(addresses.wan),
            model=instance.model,
            version=instance.version,
            stateful=model is not None and is_stateful(model),
            state=identity.lifecycle.state,
        )


def _leaving(app: Flask, identity: WorkerIdentity, drain: Callable[[], None]) -> None:
    lifecycle = identity.lifecycle

    @app.post(DRAIN_PATH)
    def begin() -> tuple[Response, int]:
        _check_sender(identity.addresses)
        if REJECTED in request.environ:
            raise RejectedError(request.environ[REJECTED])
        _check_addressee(identity.instance)
        if lifecycle.state is LifecycleState.STARTING:
            raise ProblemError(Problem(503, f"nothing to drain: {lifecycle.condition}", retry_after_s=1))
        drain()
        return _text("draining\n"), 202


def _health(app: Flask, identity: WorkerIdentity, metrics: WorkerMetrics) -> None:
    instance, lifecycle = identity.instance, identity.lifecycle

    @app.get("/healthz")
    def healthz() -> Response:
        return _text(f"{instance.id}\n" if _check_addressee(instance) else "ok\n")

    @app.get("/readyz")
    def readyz() -> Response:
        if lifecycle.state is not LifecycleState.READY:
            raise ProblemError(Problem(503, lifecycle.condition, retry_after_s=1))
        return _text("ready\n")

    @app.get("/metrics")
    def show_metrics() -> Response:
        return Response(metrics.text(), content_type=_METRICS_TYPE)


def _check_sender(addresses: WorkerAddresses) -> None:
    """Raises ProblemError with 403 where another site's web page has sent it, or may have (see origin.py)."""
    known = [address.host for address in (addresses.address, addresses.wan) if address is not None]
    if host := foreign_host(request.headers.get, known):
        detail = f"{host} is not a known name of this worker: use `tfleet drain ID`, or the worker's address"
        raise ProblemError(Problem(403, detail))
    if page := foreign_page(request.headers.get):
        detail = f"this comes from {page}: say `tfleet drain ID`, or ask without a browser"
        raise ProblemError(Problem(403, detail))


def _check_addressee(instance: Instance) -> bool:
    """Whether `?worker=ID` names this worker. Raises ProblemError with 421 if it names another."""
    meant = request.args.get("worker")
    if meant is not None and meant != instance.id:
        raise ProblemError(Problem(421, f"this is {instance.id}, not {meant[:_MOST_ID_CHARS]}"))
    return meant is not None


def _text(text: str) -> Response:
    return Response(text, mimetype="text/plain")
