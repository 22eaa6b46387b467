"""The pages of the Open Inference Protocol that are of no model, and the schemas of all its pages. Pure."""

from __future__ import annotations

from typing import Final

from tfleet.contract.openapi.schemas import (
    JSON,
    PLAIN_ERRORS,
    Json,
    answer,
    body,
    content,
    list_of,
    operation,
    record,
    schema,
)

OBJECT: Final[Json] = {"type": "object"}
_TEXT: Final[Json] = {"type": "string"}
_NUMBER: Final[Json] = {"type": "integer", "minimum": 0}
_SIZES: Final[Json] = {"type": "array", "items": {"type": "integer", "minimum": -1}}
_TRUE: Final[Json] = {"const": True}
_DURATIONS: Final = (
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
)


def oip_server_paths() -> dict[str, Json]:
    """The pages of the server and its repository."""
    ready_only = record({"ready": {"type": "boolean"}}, ["ready"], closed=False)
    return {
        "/v2": {"get": _page("The server and its extensions", schema("OipServer"))},
        "/v2/health/live": {"get": _page("Whether the server runs", record({"live": _TRUE}))},
        "/v2/health/ready": {
            "get": _page(
                "Whether the server can be asked",
                record({"live": _TRUE, "ready": _TRUE}),
                {"503": not_ready()},
            )
        },
        "/v2/models/stats": {"get": _page("What the models have computed", schema("OipStatistics"))},
        "/v2/repository/index": {
            "post": _page(
                "List the models with their states",
                schema("OipIndex"),
                requestBody=body(
                    content(JSON, ready_only, {"only what is ready": {"ready": True}}), required=False
                ),
            )
        },
    }


def not_ready() -> Json:
    """The 503 of a page that says whether something is ready."""
    return answer("It is not ready.", content(JSON, schema("OipNotReady")))


def _page(summary: str, found: Json, others: Json | None = None, **more: Json) -> Json:
    answers = {"200": answer("The page.", content(JSON, found)), **(others or {})}
    return operation(summary, "server", answers, PLAIN_ERRORS, **more)


def oip_shared() -> Json:
    """The schemas of all models."""
    tensor = record({"name": _TEXT, "datatype": _TEXT, "shape": _SIZES})
    configured = record(
        {"name": _TEXT, "data_type": _TEXT, "dims": _SIZES, "optional": {"type": "boolean"}}, ["optional"]
    )
    duration = record({"count": _NUMBER, "ns": _NUMBER})
    entry = record(
        {"name": _TEXT, "version": _TEXT, "state": _TEXT, "reason": _TEXT}, ["version", "state", "reason"]
    )
    return {
        "schemas": {
            "OipServer": record({"name": _TEXT, "version": _TEXT, "extensions": list_of(_TEXT)}),
            "OipNotReady": record(
                {"ready": {"type": "boolean"}, "error": _TEXT, "detail": _TEXT, "success": {"const": False}},
                ["ready"],
                closed=False,
            ),
            "OipModel": record(
                {
                    "name": _TEXT,
                    "versions": list_of(_TEXT),
                    "platform": _TEXT,
                    "inputs": list_of(tensor),
                    "outputs": list_of(tensor),
                    "parameters": record({"image_input": _TEXT}),
                },
                ["versions", "parameters"],
            ),
            "OipConfig": record(
                {
                    "name": _TEXT,
                    "platform": _TEXT,
                    "max_batch_size": _NUMBER,
                    "input": list_of(configured),
                    "output": list_of(configured),
                },
                closed=False,
            ),
            "OipStatistics": record({"model_stats": list_of(_statistics(duration))}),
            "OipIndex": list_of(entry),
        }
    }


def _statistics(duration: Json) -> Json:
    return record(
        {
            "name": _TEXT,
            "version": _TEXT,
            "last_inference": _NUMBER,
            "inference_count": _NUMBER,
            "execution_count": _NUMBER,
            "inference_stats": record(dict.fromkeys(_DURATIONS, duration)),
        },
        closed=False,
    )
