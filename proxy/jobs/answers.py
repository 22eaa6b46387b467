"""What callers are told of a job: its answer, its state, or why there is no answer."""

from __future__ import annotations

import io
import json
from typing import Final

from aiohttp import web

from tfleet.contract.names import JOB, JOB_STATE, JOBS_PATH
from tfleet.contract.problem import Problem
from tfleet.jobs.document import job_document, listed_document
from tfleet.jobs.errors import ForgottenJobError, KeyReusedError, QueueFullError, UnknownJobError
from tfleet.jobs.job import JobRecord, JobState
from tfleet.proxy.problems import problem_response

_RETRY_AFTER_S: Final = 2
_NO_STORE: Final = {"Cache-Control": "no-store"}


def job_response(record: JobRecord) -> web.Response:
    """The answer of a job that is done, as the worker gave it; 202 while it is open; else a problem."""
    named = {JOB: record.id, JOB_STATE: record.state.value, **_NO_STORE}
    if record.state.is_open:
        return accepted(record)
    if record.answer is not None:
        headers = {**record.answer.headers, **named}
        # As a file it is written in pieces, at the pace of the caller, and no buffer gets all of it at once.
        return web.Response(status=record.answer.status, body=io.BytesIO(record.answer.body), headers=headers)
    response = problem_response(_without_answer(record))
    response.headers.update(named)
    return response


def accepted(record: JobRecord) -> web.Response:
    """202 with the state of the job, and where its answer is or will be."""
    headers = {
        "Location": f"{JOBS_PATH}/{record.id}",
        **({"Retry-After": "1"} if record.state.is_open else {}),
        JOB: record.id,
        JOB_STATE: record.state.value,
        **_NO_STORE,
    }
    return web.json_response(job_document(record), status=202, headers=headers)


def queue_problem(error: Exception, keep_s: float) -> Problem:
    """Why there is no job, in the words of HTTP. `keep_s` is how long answers are kept."""
    if isinstance(error, QueueFullError):
        return Problem(
            429,
            f"the queue of jobs is full: submit the job again after Retry-After; {error}",
            retry_after_s=_RETRY_AFTER_S,
        )
    if isinstance(error, KeyReusedError):
        return Problem(422, "this Idempotency-Key was sent with another request: use a new key for a new job")
    if isinstance(error, UnknownJobError):
        return Problem(404, "there is no such job: its id is not one that this fleet has given out")
    if isinstance(error, ForgottenJobError):
        return Problem(
            410,
            f"this job is no longer known: answers are kept for {keep_s:g} s (--job-result-ttl), and jobs "
            "are lost with a Redis that loses its data",
        )
    return Problem(
        503,
        f"the queue of jobs can't be reached: {error}. A job that was just submitted may have been accepted; "
        "with an Idempotency-Key it is safe to submit it again",
        retry_after_s=_RETRY_AFTER_S,
    )


def _without_answer(record: JobRecord) -> Problem:
    if record.state is JobState.EXPIRED:
        return Problem(504, "the job's deadline passed before it had an answer")
    if record.state is JobState.CANCELLED:
        return Problem(410, "the job was cancelled")
    return Problem(500, f"the job is dead: {record.reason}. See `tfleet jobs dead`")


def list_document(records: list[JobRecord], away: list[str]) -> str:
    """A page of jobs, with the shards that did not answer."""
    return json.dumps({"jobs": [listed_document(each) for each in records], "unavailable": away}) + "\n"
