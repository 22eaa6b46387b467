"""The routes of jobs: an aiohttp application, reached like the proxy's other pages.

- `POST /jobs` stores a request: 202 and its Location. `GET /jobs/ID` is its answer, 202 while there is none;
  `?wait=30` waits for it. `DELETE /jobs/ID` cancels it, or forgets its answer.
- `POST PATH?queue=1` stores the request, waits for the answer until its deadline, and gives it. A client that
  leaves cancels it.
- `GET /jobs` lists jobs, for operators: without their ids, as who knows one may read the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from tfleet.contract.cors import Cors
from tfleet.contract.names import CALLBACK_URL, JOBS_PATH
from tfleet.contract.problem import Problem, ProblemError
from tfleet.httpd.http1.fields import UnreadableError
from tfleet.httpd.http1.request import RequestHead, read_request_head
from tfleet.jobs.errors import (
    ForgottenJobError,
    JobsUnavailableError,
    KeyReusedError,
    QueueFullError,
    UnknownJobError,
    UnsuitableRedisError,
)
from tfleet.jobs.job import JobRecord, JobState, JobTimes, NewJob
from tfleet.jobs.sharded_queue import ShardedQueue
from tfleet.proxy.admin.middleware import allow_origins, logged, request_id_of
from tfleet.proxy.jobs.answer_room import AnswerRoom, writing_in_room
from tfleet.proxy.jobs.answers import accepted, job_response, list_document, queue_problem
from tfleet.proxy.jobs.callbacks import AllowedUrl, checked_callback
from tfleet.proxy.jobs.room import BodyRoom, WaitingPlaces
from tfleet.proxy.jobs.submission import (
    SubmissionTarget,
    only_value,
    query_of,
    read_jobs_target,
    read_key,
    read_queued_target,
    read_times,
    read_wait_s,
    refuse_job_headers,
    worker_request,
)
from tfleet.proxy.jobs.target import JobTargets
from tfleet.proxy.telemetry.access_log import AccessLog

_MOST_LISTED = 100
_ANY_OTHER = "/{path:(?!jobs(?:/|$)).*}"
"""A POST to `/jobs/ID` is none."""
_NO_PLACE = Problem(
    429, "too many callers wait in the queue: ask again after Retry-After, or leave a job", retry_after_s=1
)
_GRACE_S = 1.0
"""A worker answers a job that is late with 504, and that answer says more than ours."""

_QUEUE_ERRORS = (
    ForgottenJobError,
    JobsUnavailableError,
    KeyReusedError,
    QueueFullError,
    UnknownJobError,
    UnsuitableRedisError,
)
_Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class JobPages:
    """The handlers. `times` are those of a job that names none, `queued_ms` is the deadline of a request with
    `?queue=1` that names none.
    """

    queue: ShardedQueue
    targets: JobTargets
    times: JobTimes
    queued_ms: int
    places: WaitingPlaces
    bodies: BodyRoom
    answers: AnswerRoom
    callbacks: tuple[AllowedUrl, ...] = ()

    async def submit(self, request: web.Request) -> web.Response:
        """`POST /jobs`."""
        target = read_jobs_target(request.raw_path)
        callback = checked_callback(only_value(request.headers, CALLBACK_URL), self.callbacks)
        key = read_key(request.headers)
        # 202 also where it has its answer by now: a client need not tell a fast worker from a slow one.
        return accepted(await self._submitted(request, target, self.times, key=key, callback=callback))

    async def show(self, request: web.Request) -> web.Response:
        """`GET /jobs/ID`."""
        wait_s, job_id = read_wait_s(query_of(request.raw_path)), request.match_info["id"]
        if not wait_s:
            return await self._response(request, await self.queue.read(job_id))
        with self.places.place() as free:
            # Where too many wait already it is as if this one had named a wait of 0.
            record = await self.queue.wait(job_id, wait_s if free else 0)
        return await self._response(request, record)

    async def cancel(self, request: web.Request) -> web.Response:
        """`DELETE /jobs/ID`."""
        await self.queue.cancel(request.match_info["id"])
        return web.Response(status=204)

    async def list(self, request: web.Request) -> web.Response:
        """`GET /jobs`, or `GET /jobs?state=dead`."""
        state = request.query.get("state", "open")
        if state not in {"open", "dead"} or set(request.query) - {"state"}:
            raise ProblemError(Problem(400, "the only parameter is state: open or dead"))
        records, away = await self.queue.list(dead=state == "dead", most=_MOST_LISTED)
        return web.Response(text=list_document(records, away), content_type="application/json")

    async def call(self, request: web.Request) -> web.Response:
        """`POST PATH?queue=1`."""
        refuse_job_headers(request.headers)
        with self.places.place() as free:
            if not free:
                raise ProblemError(_NO_PLACE)
            return await self._call(request, read_queued_target(request.raw_path))

    async def _call(self, request: web.Request, target: SubmissionTarget) -> web.Response:
        default = JobTimes(self.queued_ms, self.times.keep_ms)
        record = await self._submitted(request, target, default)
        job_id, moments = record.id, record.moments
        limit_s = (moments.deadline_ms - moments.submitted_ms) / 1000
        try:
            record = await self.queue.wait(job_id, limit_s + _GRACE_S)
            response = await self._response(request, record)
        finally:
            # Nobody else knows its id: an answer is of no use to anybody, and neither is an open job.
            await asyncio.shield(self._forget(job_id, settled=not record.state.is_open))
        if record.state.is_open:
            raise ProblemError(Problem(504, f"the job had no answer within {limit_s:g} s"))
        return response

    async def _response(self, request: web.Request, record: JobRecord) -> web.Response:
        """What there is to say of a job. The answer is read only where there is room for it."""
        if record.state is JobState.DONE:
            self.answers.take(request, await self.queue.answer_bytes(record.id))
            record = await self.queue.read(record.id, with_answer=True)
        return job_response(record)

    async def _submitted(
        self,
        request: web.Request,
        target: SubmissionTarget,
        default: JobTimes,
        *,
        key: str = "",
        callback: str = "",
    ) -> JobRecord:
        times = read_times(request.headers, default)
        found = self.targets.find(target.wanted, _head_of(request))
        async with self.bodies.received(request) as body:
            name = request_id_of(request)
            asked = worker_request(target, found, request.headers, body, name)
            del body  # a call may wait for long after this
            job_id = await self.queue.submit(NewJob(asked, found, times, request.raw_path, key, callback))
            del asked
        return await self.queue.read(job_id)

    async def _forget(self, job_id: str, *, settled: bool) -> None:
        try:
            if not settled:
                await self.queue.cancel(job_id)
            await self.queue.cancel(job_id)
        except _QUEUE_ERRORS as error:  # it expires
            structlog.get_logger().debug("a job is left to expire", job=job_id, error=str(error))


def make_jobs_app(
    pages: JobPages, access_log: AccessLog, cors: Cors, *, max_body_bytes: int, lists: bool
) -> web.Application:
    """The application. With `lists` it serves `GET /jobs`."""
    app = web.Application(
        middlewares=[writing_in_room(pages.answers), logged(access_log), _queue_errors(pages.times)],
        client_max_size=max_body_bytes,
    )
    if cors:
        allow_origins(app, cors)
    app.router.add_post(JOBS_PATH, pages.submit)
    if lists:
        app.router.add_get(JOBS_PATH, pages.list)
    app.router.add_get(JOBS_PATH + "/{id}", pages.show)
    app.router.add_delete(JOBS_PATH + "/{id}", pages.cancel)
    app.router.add_post(_ANY_OTHER, pages.call)
    return app


def _queue_errors(times: JobTimes) -> Any:
    @web.middleware
    async def middleware(request: web.Request, handler: _Page) -> web.StreamResponse:
        try:
            return await handler(request)
        except _QUEUE_ERRORS as error:
            raise ProblemError(queue_problem(error, times.keep_ms / 1000)) from error

    return middleware


def _head_of(request: web.Request) -> RequestHead:
    """The head as the router reads it: a plan may look at any header."""
    lines = [f"{request.method} / HTTP/1.1".encode()]
    lines += [name + b": " + value for name, value in request.raw_headers]
    try:
        return read_request_head(b"".join(line + b"\r\n" for line in lines))
    except UnreadableError as error:
        raise ProblemError(Problem(400, str(error))) from error
