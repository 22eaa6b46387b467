"""What a fleet says of a model: `GET /models/NAME`, which a proxy forwards, or redirects to a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tfleet.client.errors import FleetError, FleetUnavailableError, UnexpectedAnswerError
from tfleet.client.http.responses import succeeded
from tfleet.client.http.transport import LostConnectionError
from tfleet.contract.names import MODELS_PATH, REQUEST_ID

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.routes.named_model import NamedModel

REDIRECTS: Final = frozenset({307, 308})


def document_path(name: str, model: NamedModel) -> str:
    """The path of a model's document, of the version or label that is asked."""
    kind, text = ("labels", model.label) if model.label is not None else ("versions", model.version)
    exact = "" if text is None else f"/{kind}/{quote(text, safe='')}"
    return f"{MODELS_PATH}/{quote(name, safe='')}{exact}"


def default_model(reply: HttpResponse, request_id: str) -> str:
    """The name of the fleet's default model, in a proxy's answer to `GET /models`. Raises FleetError."""
    models = succeeded(reply, request_id=request_id, rejected=FleetError).get("models")
    listed = models if isinstance(models, list) else []
    names = [each["name"] for each in listed if isinstance(each, dict) and each.get("default")]
    if not names:
        raise FleetUnavailableError("the fleet has no default model: name one", request_id=request_id)
    if not names[0]:
        raise FleetUnavailableError(
            "the proxy has a fixed list of workers (static:), so it knows no models: use a registry",
            request_id=request_id,
        )
    return str(names[0])


async def follow(transport: Transport, reply: HttpResponse, request_id: str) -> HttpResponse:
    """The answer of the worker that a proxy redirects to. Raises FleetUnavailableError."""
    where = reply.headers.get("Location", "")
    try:
        return await transport.get(where, {REQUEST_ID: request_id})
    except (LostConnectionError, ValueError) as error:
        raise FleetUnavailableError(f"{where}: {error}", request_id=request_id) from error


def read_model_document(reply: HttpResponse, request_id: str) -> dict[str, Any]:
    """A worker's document of its model. Raises FleetError."""
    document = succeeded(reply, request_id=request_id, rejected=FleetError)
    if not isinstance(document.get("signatures"), dict):
        raise UnexpectedAnswerError(f"{reply.url}: does not say what the model is", request_id=request_id)
    return document
