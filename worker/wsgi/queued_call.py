"""A call of the application that no client's connection waits for: a job of the queue in Redis.

It takes a thread of the pool as a request does, so that jobs and requests together never use more of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tfleet.contract.problem import Problem
from tfleet.httpd.http1.request import RequestHead
from tfleet.worker.wsgi.context import WsgiContext
from tfleet.worker.wsgi.environ import ARRIVED, BEGUN, QUEUE, environ_of, path_info
from tfleet.worker.wsgi.response import WsgiResponse, made

_FAILED = Problem(500, "the worker failed; its log has the reason")
_STOPPED = Problem(503, "the worker has stopped before it came to this", retry_after_s=1)


class QueuedCall:
    """A job for the thread pool. `done` is called once, in whichever thread that is."""

    def __init__(
        self, context: WsgiContext, head: RequestHead, body: bytes, done: Callable[[WsgiResponse], None]
    ) -> None:
        self._context = context
        self._head = head
        self._body = body
        self._done = done
        context.queue.begin_at_once(self)

    def __repr__(self) -> str:
        return f"<QueuedCall {self._head.path} {len(self._body)} bytes>"

    def run(self) -> None:
        """Call the application; a thread of the pool calls this."""
        try:
            response = self._too_large() or self._context.call(self._environ)
        finally:
            self._context.queue.end(self)
        self._done(_answer_of(_FAILED) if response is None else response)

    def cancel(self) -> None:
        """Called instead of `run`."""
        self._context.queue.end(self)
        self._done(_answer_of(_STOPPED))

    def _too_large(self) -> WsgiResponse | None:
        """The answer to a body that a client could not send to this worker either."""
        limits = self._context.site.body_limits
        return _answer_of(limits.too_large()) if len(self._body) > limits.max_bytes else None

    def _environ(self) -> dict[str, object]:
        head, local = self._head, self._context.site.address
        environ = environ_of(head, path=path_info(head), peer=None, local=local, body=self._body)
        environ[QUEUE] = self._context.queue
        environ[BEGUN] = environ[ARRIVED] = time.perf_counter()
        return environ


def _answer_of(problem: Problem) -> WsgiResponse:
    status = f"{problem.status} {problem.title}"
    return made(status, list(problem.headers().items()), (problem.body(),))
