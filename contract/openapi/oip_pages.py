"""The pages of the Open Inference Protocol that are of no model, and the schemas of all its pages. Pure."""

from __future__ import annotations

from typing import Final

from tfleet.contract.openapi.schemas import (
    COUNT,
    JSON,
    PLAIN_ERRORS,
    STRING,
    Json,
    answer,
    body,
    content,
    list_of,
    page,
    record,
    schema,
)

_DIMS: Final[Json] = list_of({"type": "integer", "minimum": -1, "description": "-1 is any size."})
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
        "/v2": {"get": _of_server("The server and its extensions", schema("OipServer"))},
        "/v2/health/live": {"get": _of_server("Whether the server runs", record({"live": _TRUE}))},
        "/v2/health/ready": {
            "get": _of_server(
                "Whether the server can be asked",
                record({"live": _TRUE, "ready": _TRUE}),
                {"503": not_ready()},
            )
        },
        "/v2/models/stats": {"get": _of_server("What the models have computed", schema("OipStatistics"))},
        "/v2/repository/index": {
            "post": _of_server(
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


def _of_server(summary: str, found: Json, others: Json | None = None, **more: Json) -> Json:
    return page(summary, "server", {**(others or {}), **PLAIN_ERRORS}, content(JSON, found), **more)


def oip_shared() -> Json:
    """The schemas of all models."""
    tensor = record({"name": STRING, "datatype": STRING, "shape": _DIMS})
    configured = record(
        {"name": STRING, "data_type": STRING, "dims": _DIMS, "optional": {"type": "boolean"}}, ["optional"]
    )
    duration = record({"count": COUNT, "ns": COUNT})
    entry = record(
        {"name": STRING, "version": STRING, "state": STRING, "reason": STRING}, ["version", "state", "reason"]
    )
    return {
        "schemas": {
            "OipServer": record({"name": STRING, "version": STRING, "extensions": list_of(STRING)}),
            "OipNotReady": record(
                {
                    "ready": {"type": "boolean"},
                    "error": STRING,
                    "detail": STRING,
                    "success": {"const": False},
                },
                ["ready"],
                closed=False,
            ),
            "OipModel": record(
                {
                    "name": STRING,
                    "versions": list_of(STRING),
                    "platform": STRING,
                    "inputs": list_of(tensor),
                    "outputs": list_of(tensor),
                    "parameters": record({"image_input": STRING}),
                },
                ["versions", "parameters"],
            ),
            "OipConfig": record(
                {
                    "name": STRING,
                    "platform": STRING,
                    "max_batch_size": COUNT,
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
            "name": STRING,
            "version": STRING,
            "last_inference": COUNT,
            "inference_count": COUNT,
            "execution_count": COUNT,
            "inference_stats": record(dict.fromkeys(_DURATIONS, duration)),
        },
        closed=False,
    )
