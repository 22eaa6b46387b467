"""Reads what is to become a job: from the target and the headers of a request. Pure functions.

- `POST /jobs` is for `POST /predict`. Its query may name the model (`model`, and `version` or `label`); what
  else is in it is for the worker.
- `POST PATH?queue=1` is for `POST PATH` at the worker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from multidict import MultiMapping

from tfleet.contract.names import (
    CALLBACK_URL,
    CLASSIFY_PATHS,
    IDEMPOTENCY_KEY,
    JOBS_PATH,
    MODELS_PATH,
    PREDICT_PATH,
    QUEUE,
    REQUEST_ID,
    REQUEST_TIMEOUT_MS,
    WAIT,
    whole_number,
)
from tfleet.contract.openapi.jobs import MAX_WAIT_S
from tfleet.contract.problem import Problem, ProblemError
from tfleet.jobs.job import JobRequest, JobTarget, JobTimes
from tfleet.proxy.balancing.versions import Wanted
from tfleet.proxy.inference_paths import asks_worker
from tfleet.proxy.model_target import read_model_target, target_for

_POST: Final = b"POST"
_CLASSIFY: Final = frozenset(path.encode() for path in CLASSIFY_PATHS)
_BELOW_MODELS: Final = f"{MODELS_PATH}/".encode()
_NAMES: Final = ("model", "version", "label")
_KEPT_HEADERS: Final = ("Accept", "Content-Encoding", "Content-Type", "Inference-Header-Content-Length")
MAX_TIMEOUT_MS: Final = 7 * 24 * 3600 * 1000
_MOST_KEY_CHARS: Final = 255


@dataclass(frozen=True, slots=True)
class SubmissionTarget:
    """What the target of a request says: the model that it wants, and the target for the worker. That one is
    final unless the path names a label.
    """

    wanted: Wanted
    worker_target: str

    def for_worker(self, target: JobTarget) -> str:
        """The target for a worker of this version."""
        raw = self.worker_target.encode()
        return target_for(read_model_target(_POST, raw), raw, target.version).decode()


def read_jobs_target(target: str) -> SubmissionTarget:
    """Of `POST /jobs`. Raises ProblemError (400)."""
    query = query_of(target)
    named: dict[str, str] = {}
    for name, value in _pairs(query):
        if name in _NAMES:
            if name in named:
                raise ProblemError(Problem(400, f"{name} is there twice: which one is it?"))
            named[name] = value
    if named and "model" not in named:
        raise ProblemError(Problem(400, "version and label need model: which model is it?"))
    if "version" in named and "label" in named:
        raise ProblemError(Problem(400, "name a version or a label, not both"))
    wanted = Wanted(named.get("model"), named.get("version"), named.get("label"))
    return SubmissionTarget(wanted, PREDICT_PATH + _rest(query, _NAMES))


def read_queued_target(target: str) -> SubmissionTarget:
    """Of a prediction with `?queue=1`. Raises ProblemError (400)."""
    query = query_of(target)
    _pairs(query)
    worker_target = target.partition("?")[0] + _rest(query, (QUEUE,))
    return SubmissionTarget(read_model_target(_POST, worker_target.encode()).wanted, worker_target)


def query_of(target: str) -> str:
    """The query of a target as it was sent: what is decoded twice is something else."""
    return target.partition("?")[2]


def is_queued(query: bytes) -> bool:
    """Whether the query of a prediction sends it through the queue."""
    return b"queue=1" in query.split(b"&")


def is_prediction(path: bytes) -> bool:
    """Whether a worker answers a POST to this path with a prediction. A worker takes others too, such as
    `/drain`, which are not for a client to ask.
    """
    return path in _CLASSIFY or path.startswith(_BELOW_MODELS) or asks_worker(_POST, path)


def worker_request(
    target: SubmissionTarget, found: JobTarget, headers: Mapping[str, str], body: bytes, request_id: str
) -> JobRequest:
    """The request for the worker. `headers` looks names up in any case of letters."""
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    return JobRequest(target.for_worker(found), {**kept, REQUEST_ID: request_id}, body)


def read_times(headers: MultiMapping[str], default: JobTimes) -> JobTimes:
    """The deadline that the client asks for. Raises ProblemError (400)."""
    asked = only_value(headers, REQUEST_TIMEOUT_MS)
    if asked is None:
        return default
    asked_ms = whole_number(asked)
    if not asked_ms or asked_ms > MAX_TIMEOUT_MS:
        expected = f"expected milliseconds from 1 to {MAX_TIMEOUT_MS} (7 days)"
        raise ProblemError(Problem(400, f"{REQUEST_TIMEOUT_MS} is {asked[:20]!r}: {expected}"))
    return JobTimes(asked_ms, default.keep_ms)


def read_key(headers: MultiMapping[str]) -> str:
    """The Idempotency-Key; empty if there is none. Raises ProblemError (400)."""
    key = only_value(headers, IDEMPOTENCY_KEY)
    if key is None:
        return ""
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= _MOST_KEY_CHARS):
        expected = f"expected 1 to {_MOST_KEY_CHARS} printable ASCII characters"
        raise ProblemError(Problem(400, f"{IDEMPOTENCY_KEY} can't be used: {expected}"))
    return key


def refuse_job_headers(headers: MultiMapping[str]) -> None:
    """Raise ProblemError (400) for a call that asks for what only a submission has."""
    for name in (IDEMPOTENCY_KEY, CALLBACK_URL):
        if name in headers:
            raise ProblemError(
                Problem(
                    400,
                    f"{name} is for POST {JOBS_PATH}: a call with ?{QUEUE}=1 has its answer in its response",
                )
            )


def only_value(headers: MultiMapping[str], name: str) -> str | None:
    """The value of a header; None without it. Raises ProblemError (400) for two."""
    values = headers.getall(name, [])
    if len(values) > 1:
        raise ProblemError(Problem(400, f"{name} is there twice: which one is it?"))
    return values[0] if values else None


def read_wait_s(query: str) -> float:
    """For how long `GET /jobs/ID` is to wait; 0 if it names nothing. Raises ProblemError (400)."""
    wait_s = 0.0
    for name, value in _pairs(query):
        if name != WAIT:
            raise ProblemError(Problem(400, f"unknown parameter {name[:20]!r}: there is {WAIT}"))
        seconds = whole_number(value)
        if seconds is None or seconds > MAX_WAIT_S:
            raise ProblemError(
                Problem(400, f"{WAIT} is {value[:20]!r}: expected whole seconds up to {MAX_WAIT_S}")
            )
        wait_s = float(seconds)
    return wait_s


def jobs_path(path: bytes) -> bool:
    """Whether a path is about jobs."""
    return path == JOBS_PATH.encode() or path.startswith(f"{JOBS_PATH}/".encode())


def _rest(query: str, names: Collection[str]) -> str:
    """The parameters with other names, as they were sent."""
    pieces = [piece for piece in query.split("&") if piece and _name(piece) not in names]
    return f"?{'&'.join(pieces)}" if pieces else ""


def _name(piece: str) -> str:
    return unquote_plus(piece.partition("=")[0])


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise ProblemError(Problem(400, "the query has over 100 parameters")) from None
