"""The pages of a proxy that keeps jobs. Pure."""

from __future__ import annotations

from typing import Final

from tfleet.contract.names import CALLBACK_URL, IDEMPOTENCY_KEY, JOB, JOB_STATE, JOBS_PATH, WAIT
from tfleet.contract.openapi.calls import PARAMETERS, query
from tfleet.contract.openapi.schemas import (
    BINARY,
    COUNT,
    JSON,
    PROBLEMS,
    STRING,
    Json,
    answer,
    body,
    content,
    list_of,
    operation,
    page,
    raw,
    record,
)

MAX_WAIT_S: Final = 60
_TAG: Final = "server"
_ANYTHING: Final = "*/*"
_STATES: Final = ["queued", "running", "done", "expired", "cancelled", "dead"]
_FIELDS: Final[dict[str, Json]] = {
    "state": {"enum": _STATES},
    "model": STRING,
    "version": STRING,
    "submitted": STRING,
    "deadline": STRING,
    "body_bytes": COUNT,
    "worker": STRING,
    "deliveries": COUNT,
    "reason": STRING,
}
_OPTIONAL: Final = ["worker", "deliveries", "reason"]
_JOB: Final = record({"id": STRING, **_FIELDS}, _OPTIONAL)
_LISTED: Final = record({"id_prefix": STRING, **_FIELDS}, _OPTIONAL)
_HEADERS: Final = {
    JOB: {"description": "The id of the job.", "schema": STRING},
    JOB_STATE: {"description": "Its state.", "schema": {"enum": _STATES}},
}
_LOCATION: Final = {"description": "Where its answer is, or will be.", "schema": STRING}
_ID: Final = {"name": "id", "in": "path", "required": True, "schema": STRING}


def jobs_pages(*, for_operators: bool) -> dict[str, Json]:
    """The paths of jobs; `for_operators` with the list of them."""
    waiting = {"202": _accepted("There is no answer yet, or there will be none before it is asked again.")}
    done = answer("The worker's answer. Its status may be another one.", raw(_ANYTHING), headers=_HEADERS)
    wait = query(WAIT, {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_S}, "Seconds to wait for it.")
    show = operation("The answer of a job", _TAG, {"200": done, **waiting}, PROBLEMS, parameters=[_ID, wait])
    gone = {"204": answer("The job is cancelled, or its answer forgotten.")}
    remove = operation("Cancel a job, or forget its answer", _TAG, gone, PROBLEMS, parameters=[_ID])
    jobs = {"post": _submit()}
    if for_operators:
        state = query("state", {"enum": ["open", "dead"]}, "Jobs without an answer, or dead ones.")
        listed = content(JSON, record({"jobs": list_of(_LISTED), "unavailable": list_of(STRING)}))
        jobs["get"] = page("The open jobs, or the dead ones", _TAG, PROBLEMS, listed, parameters=[state])
    return {JOBS_PATH: jobs, f"{JOBS_PATH}/{{id}}": {"get": show, "delete": remove}}


def _submit() -> Json:
    """`POST /jobs`. What it takes depends on the model, as of `POST /predict`."""
    parameters = [
        query("model", STRING, "The model that is asked."),
        query("version", STRING, "With model: this version."),
        query("label", STRING, "With model: the version with this label."),
        _header(IDEMPOTENCY_KEY, {"type": "string", "minLength": 1, "maxLength": 255}, "One key, one job."),
        _header(CALLBACK_URL, STRING, "Where to tell that it is settled, among the URLs that are allowed."),
    ]
    return operation(
        "Leave a prediction that may wait",
        _TAG,
        {"202": _accepted("The job is queued.")},
        PROBLEMS,
        parameters=[*parameters, *PARAMETERS],
        requestBody=body(content(JSON, {}), raw(BINARY)),
    )


def _accepted(text: str) -> Json:
    return answer(text, content(JSON, _JOB), headers={**_HEADERS, "Location": _LOCATION})


def _header(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "header", "description": text, "schema": schema}
