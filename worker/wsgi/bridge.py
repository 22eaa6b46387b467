"""Who answers what, and how a request gets to the application.

- What may be an image (a POST to anything but `/drain`) waits in the queue for one of the threads: upload.py.
- All else is quick and answered at once, in the loop's thread: every question about the worker, and every
  refusal. A worker that has too much to do is not a dead one, and those who look after it must be able to see
  what is wrong and to drain it. The body of a question, if it has one, is thrown away.
- A request that names another worker, or that needs a ticket and has none, is refused by its head.
"""

from __future__ import annotations

import time
from typing import Any, Final

from tfleet.contract.names import DRAIN_PATH
from tfleet.contract.problem import Problem
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client, OpenRequest
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.context import WsgiContext
from tfleet.worker.wsgi.environ import ARRIVED, BEGUN, CLIENT_GONE, path_info
from tfleet.worker.wsgi.upload import Upload, awaits_body

_POST: Final = b"POST"
_CONTINUE: Final = b"100-continue"


class Bridge:
    """Takes each request: answers it at once, or has it wait for a thread."""

    def __init__(self, context: WsgiContext) -> None:
        self._context = context

    def __call__(self, head: RequestHead, client: Client) -> OpenRequest | None:
        problem = self._refusal(head)
        if problem is not None:
            self._context.refuse(head, client, problem, keep=not awaits_body(head))
            return None
        path = path_info(head)
        rejection = self._rejected_at_head(head) if head.method == _POST else None
        if head.method == _POST and (rejection is not None or path != DRAIN_PATH):
            return Upload(self._context, head, client, path, rejection)
        self._answer_now(head, client, path)
        return None

    def _answer_now(self, head: RequestHead, client: Client, path: str) -> None:
        context = self._context

        def environ() -> dict[str, Any]:
            found = context.environ(head, client, path, b"")
            found[BEGUN] = found[ARRIVED] = time.perf_counter()
            found[CLIENT_GONE] = _stays
            return found

        context.respond(head, client, context.call(environ), keep=not awaits_body(head))

    def _refusal(self, head: RequestHead) -> Problem | None:
        """Why it is refused whatever it asks for."""
        expected = head.expect
        if expected is not None and expected.lower() != _CONTINUE:
            told = expected[:20].decode("latin-1")
            return Problem(417, f"Expect: {told!r} is not met here, only {_CONTINUE.decode()}")
        limits = self._context.site.body_limits
        return limits.too_large() if head.length_bytes > limits.max_bytes else None

    def _rejected_at_head(self, head: RequestHead) -> Rejection | None:
        worker, check = head.worker, self._context.site.check_ticket
        if worker is not None and worker != self._context.site.worker:
            return Rejection.MISDIRECTED
        return None if check is None else check(head.ticket, head.query)


def _stays() -> bool:
    """Whether a client has left that is answered at once."""
    return False
