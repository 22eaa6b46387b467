"""A job as a call of the worker's own application, and what came of it as the job's answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from tfleet.contract.names import DRAIN_PATH, REQUEST_ID, REQUEST_TIMEOUT_MS
from tfleet.contract.problem import Problem
from tfleet.httpd.http1.fields import UnreadableError
from tfleet.httpd.http1.request import RequestHead, read_request_head
from tfleet.jobs.job import JobAnswer, TakenJob
from tfleet.worker.wsgi.environ import path_info
from tfleet.worker.wsgi.response import WsgiResponse

CallApplication = Callable[[RequestHead, bytes, Callable[[WsgiResponse], None]], None]
"""Takes a request's head and body, and a function that is called with the answer in any thread."""

_OF_THE_CONNECTION: Final = frozenset({"content-length", "date", "server", REQUEST_ID.lower()})
_NOT_COMPUTED: Final = frozenset({429, 503})


def begin_call(job: TakenJob, call: CallApplication) -> asyncio.Future[JobAnswer]:
    """The application's answer to a job, as soon as it is there. A thread is taken before this returns."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[JobAnswer] = loop.create_future()
    try:
        head = request_head(job)
    except (UnreadableError, UnicodeError) as error:
        answered.set_result(_problem(Problem(400, f"the job can't be read: {error}")))
        return answered

    def settle(response: WsgiResponse) -> None:
        if not answered.done():  # the worker ends, and nobody waits any more
            answered.set_result(answer_of(response))

    def done(response: WsgiResponse) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the worker with it
            loop.call_soon_threadsafe(settle, response)

    if path_info(head) == DRAIN_PATH:  # whoever can write to Redis has no say over workers
        answered.set_result(_problem(Problem(403, "a job can't drain a worker")))
        return answered
    call(head, job.request.body, done)
    return answered


def _problem(problem: Problem) -> JobAnswer:
    return JobAnswer(problem.status, problem.headers(), problem.body())


def request_head(job: TakenJob) -> RequestHead:
    """The head of the request that a job stands for. Raises UnreadableError."""
    headers = {"Host": "jobs", **job.request.headers, REQUEST_TIMEOUT_MS: str(max(job.left_ms, 1))}
    lines = [f"POST {job.request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return read_request_head("".join(f"{line}\r\n" for line in lines).encode("latin-1"))


def answer_of(response: WsgiResponse) -> JobAnswer:
    """What is kept of a response: not what is about the connection that it would have had."""
    first, *lines = response.head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines if line)
    headers = {name: value for name, value in pairs if name.lower() not in _OF_THE_CONNECTION}
    return JobAnswer(int(first.split(" ", 2)[1]), headers, b"".join(response.pieces))


def was_computed(answer: JobAnswer) -> bool:
    """Whether this is an answer to the job, and not to say that the worker has no room or ends."""
    return answer.status not in _NOT_COMPUTED
