"""The pages of a worker and of a proxy that are of no model. Pure."""

from __future__ import annotations

from typing import Final

from tfleet.contract.names import (
    ADDRESS_KIND,
    DRAIN_PATH,
    LAN,
    LEASE_SIZE,
    LOOKUP_PATH,
    MAX_LEASE_SIZE,
    MODELS_PATH,
    OPENAPI_PATH,
    WAN,
)
from tfleet.contract.openapi.calls import query
from tfleet.contract.openapi.jobs import jobs_pages
from tfleet.contract.openapi.oip_pages import oip_server_paths
from tfleet.contract.openapi.schemas import (
    JSON,
    OBJECT,
    PROBLEMS,
    STRING,
    TEXT,
    Json,
    answer,
    content,
    list_of,
    operation,
    page,
    record,
)
from tfleet.contract.openapi.tfs import tfs_server_paths

_SERVER: Final = "server"
_TEXT_PAGE: Final = content(TEXT, STRING)


def worker_pages() -> dict[str, Json]:
    """Those of a worker."""
    which = query("worker", STRING, "The worker that is meant. Any other answers 421.")
    at = record(
        {
            "id": STRING,
            "address": STRING,
            "wan": {"type": ["string", "null"]},
            "model": STRING,
            "version": STRING,
            "stateful": {"type": "boolean"},
            "state": {"enum": ["starting", "ready", "draining"]},
        }
    )
    accepted = {"202": answer("It drains, and ends.", _TEXT_PAGE)}
    drain = operation("Drain the worker, which then ends", _SERVER, accepted, PROBLEMS, parameters=[which])
    found = {
        LOOKUP_PATH: _get("The worker's own address", _TEXT_PAGE, content(JSON, at)),
        DRAIN_PATH: {"post": drain},
        "/healthz": _get("Whether the process runs", _TEXT_PAGE, parameters=[which]),
        "/metrics": _get("Metrics in Prometheus' text format", _TEXT_PAGE),
        MODELS_PATH: _get("The worker's model", content(JSON, _models())),
    }
    return {**_common(), **found, **tfs_server_paths(), **oip_server_paths()}


def proxy_pages(*, for_operators: bool, jobs: bool = False) -> dict[str, Json]:
    """Those of a proxy; `for_operators` on a port that serves their pages, too, and `jobs` on one that keeps
    jobs.
    """
    found = {
        LOOKUP_PATH: _lookup(),
        "/healthz": _get("Whether the process runs", _TEXT_PAGE),
        MODELS_PATH: _get(
            "The models of the fleet, and what share of the requests each version gets", _fleet()
        ),
    }
    operators = {
        "/metrics": _get("Metrics in Prometheus' text format", _TEXT_PAGE),
        "/workers": _get("The workers and how they are", content(JSON, _workers())),
        "/workers/{id}/metrics": _get(
            "The metrics of a worker",
            _TEXT_PAGE,
            parameters=[{"name": "id", "in": "path", "required": True, "schema": STRING}],
        ),
    }
    inference = {**tfs_server_paths(), **oip_server_paths()}
    del inference["/v2/models/stats"]  # which only says that each worker counts for itself
    kept = jobs_pages(for_operators=for_operators) if jobs else {}
    return {**_common(), **found, **inference, **(operators if for_operators else {}), **kept}


def _common() -> dict[str, Json]:
    return {
        "/": _get("A page with commands to paste", _TEXT_PAGE),
        "/readyz": _get("Whether requests may be sent here", _TEXT_PAGE),
        OPENAPI_PATH: _get("This document", content(JSON, OBJECT)),
    }


def _get(summary: str, *contents: Json, **more: object) -> Json:
    return {"get": page(summary, _SERVER, PROBLEMS, *contents, **more)}


def _models() -> Json:
    model = {"name": STRING, "version": STRING, "state": STRING, "kind": {"type": ["string", "null"]}}
    return record({"models": list_of(record(model))})


def _lookup() -> Json:
    """`GET /worker`: one address, or a lease of several."""
    worker = {
        "id": STRING,
        "address": STRING,
        "model": STRING,
        "version": STRING,
        "stateful": {"type": "boolean"},
    }
    expires = {"expires_in_s": {"type": "integer"}, "ticket": STRING}
    one = record({**worker, **expires}, ["ticket"])
    weighted = record({**worker, "weight": {"type": "number"}})
    lease = record({**expires, "forwards": {"type": "boolean"}, "workers": list_of(weighted)}, ["ticket"])
    size = {"type": "integer", "minimum": 1, "maximum": MAX_LEASE_SIZE}
    parameters = [
        query(LEASE_SIZE, size, "A lease of up to so many different workers."),
        query("except", list_of(STRING), "The id of a worker to leave out."),
        query("model", STRING, "A worker of this model."),
        query("version", STRING, "With model: of this version."),
        query("label", STRING, "With model: of the version with this label."),
        query(ADDRESS_KIND, {"enum": [LAN, WAN]}, "Which of a worker's two addresses to answer with."),
    ]
    documents = content(JSON, {"anyOf": [one, lease]})
    return _get("The address of a worker", _TEXT_PAGE, documents, parameters=parameters)


def _fleet() -> Json:
    version = record(
        {
            "version": STRING,
            "workers": {"type": "integer"},
            "ready": {"type": "integer"},
            "percent": {"type": "number"},
        }
    )
    labels = {"type": "object", "additionalProperties": STRING}
    plan = {"type": ["object", "null"]}
    model = {"name": STRING, "default": {"type": "boolean"}, "versions": list_of(version), "labels": labels}
    found = {**model, "plan": plan, "refused": list_of(OBJECT), "mirrored": plan}
    return content(JSON, record({"models": list_of(record(found, closed=False))}))


def _workers() -> Json:
    worker = record(
        {"id": STRING, "address": STRING, "model": STRING, "version": STRING, "state": STRING}, closed=False
    )
    names = {"model": STRING, "version": STRING, "stand_in": {"type": ["string", "null"]}}
    stand_in = record({**names, "percent": {"type": "number"}}, closed=False)
    refused = list_of(OBJECT)
    jobs = list_of(record({"redis": STRING, "up": {"type": "boolean"}}, closed=False))
    members = {"workers": list_of(worker), "refused": refused, "stand_ins": list_of(stand_in), "jobs": jobs}
    return record(members, closed=False)
