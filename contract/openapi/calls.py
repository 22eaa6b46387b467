"""What all predictions have in common, whatever the dialect: parameters, headers, images. Pure."""

from __future__ import annotations

from typing import Any, Final

from tfleet.contract.names import (
    BATCH_SIZE,
    MODEL,
    QUEUE_LENGTH,
    REQUEST_ID,
    REQUEST_TIMEOUT_MS,
    RETRIES,
    SERVER_TIMING,
    TICKET,
    WORKER,
)
from tfleet.contract.openapi.schemas import Json, ref

PIXEL_PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mM4UaGBFTEMLQkAUtVaASL5fhoAAAAASUVORK5CYII="
)
"""An image of 8 x 8 pixels of one colour, in base64: an example that works."""

_MILLISECONDS: Final[Json] = {"type": "integer", "minimum": 1, "maximum": 10**15 - 1}
PARAMETERS: Final = [ref("parameters", "RequestId"), ref("parameters", "RequestTimeoutMs")]
"""What every prediction may have."""

CODED_PARAMETERS: Final = [
    *PARAMETERS,
    ref("parameters", "ContentEncoding"),
    ref("parameters", "AcceptEncoding"),
]
"""The same below `/v1` and `/v2`, where bodies may be compressed."""
_CODING: Final[Json] = {"enum": ["gzip", "deflate"]}

_HEADERS: Final = {
    REQUEST_ID: ("RequestId", {"type": "string"}, "The id from the request, or a new one."),
    WORKER: ("Worker", {"type": "string"}, "The id of the worker that answered."),
    MODEL: ("Model", {"type": "string"}, "NAME/VERSION of the model."),
    RETRIES: ("Retries", {"type": "integer"}, "How many other workers the proxy tried first."),
    BATCH_SIZE: ("BatchSize", {"type": "integer"}, "How many requests ran in the same batch."),
    QUEUE_LENGTH: ("QueueLength", {"type": "integer"}, "How many requests waited in the worker."),
    SERVER_TIMING: ("ServerTiming", {"type": "string"}, "Milliseconds of decode, queue and infer."),
}
ANSWER_HEADERS: Final[Json] = {name: ref("headers", key) for name, (key, _, _) in _HEADERS.items()}
"""The headers of an answer with a prediction."""

CODED_HEADERS: Final[Json] = {**ANSWER_HEADERS, "Content-Encoding": ref("headers", "ContentEncoding")}
"""The same for an answer that may be compressed."""


def call_components() -> Json:
    """The components that predictions refer to."""
    return {
        "headers": {
            **{key: {"description": text, "schema": schema} for key, schema, text in _HEADERS.values()},
            "ContentEncoding": {"description": "How the answer is compressed.", "schema": _CODING},
        },
        "parameters": {
            "RequestId": _header(
                REQUEST_ID, {"type": "string"}, "Your own id for the request, for logs. Others are ignored."
            ),
            "RequestTimeoutMs": _header(
                REQUEST_TIMEOUT_MS, _MILLISECONDS, "How long you wait, in milliseconds."
            ),
            "ContentEncoding": _header(
                "Content-Encoding", _CODING, "How the body is compressed. Without it, it is not."
            ),
            "AcceptEncoding": _header(
                "Accept-Encoding",
                {"type": "string", "examples": ["gzip"]},
                "gzip or deflate alone compresses an answer of 1 KiB to 8 MiB. A list of several does not.",
            ),
        },
        "securitySchemes": {
            "ticket": {
                "type": "apiKey",
                "in": "header",
                "name": TICKET,
                "description": "A ticket from the proxy (GET /worker), for workers that require one.",
            }
        },
    }


def _header(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "header", "description": text, "schema": schema}


def query(name: str, schema: Json, text: str = "", *, required: bool = False) -> Json:
    """A parameter in the query."""
    found: dict[str, Any] = {"name": name, "in": "query", "schema": schema}
    if required:
        found["required"] = True
    return {**found, "description": text} if text else found
