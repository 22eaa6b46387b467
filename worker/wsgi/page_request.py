"""A request for a page, which is whatever needs no model, from its head to its answer.

- Registries and proxies decide by `/healthz` and `/readyz` whether a worker lives, and an operator must be
  able to drain it. So these are answered at once, in the loop's thread, whatever else the worker is doing.
  Their handlers only look at variables: they must never wait for anything.
- So is OPTIONS, which no handler sees: web pages ask with it before each image.
- Every other page waits in the page queue (page_queue.py), because its handler may take long.
- The body of such a request, if it has one, is discarded. The answer does not wait for it.
"""

from __future__ import annotations

import time
from typing import Any, Final

from tfleet.contract.names import DRAIN_PATH
from tfleet.contract.problem import Problem
from tfleet.httpd.half_closed import may_wait
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client
from tfleet.worker.wsgi.context import WsgiContext
from tfleet.worker.wsgi.environ import ARRIVED, BEGUN, CLIENT_GONE
from tfleet.worker.wsgi.response import WsgiResponse
from tfleet.worker.wsgi.response_sender import ResponseSender

_INSTANT_PATHS: Final = frozenset({"/healthz", "/readyz", DRAIN_PATH})
_OPTIONS: Final = b"OPTIONS"


class WorkerPageRequest:
    """An OpenRequest for httpd, and a job for the page queue.

    `run` and `cancel` are called in a thread of the page queue, all else in the thread of the event loop.
    """

    __slots__ = (
        "_arrived_s",
        "_client",
        "_context",
        "_gone",
        "_has_whole_body",
        "_head",
        "_path",
        "_sender",
        "_settled",
    )

    def __init__(self, context: WsgiContext, head: RequestHead, client: Client, path: str) -> None:
        self._context = context
        self._head = head
        self._client = client
        self._path = path
        self._arrived_s = time.perf_counter()
        self._sender: ResponseSender | None = None
        """Sends a large answer, once there is one."""
        self._has_whole_body = self._settled = self._gone = False

    def start(self) -> None:
        """Answer, or wait for a thread."""
        if self._path in _INSTANT_PATHS or self._head.method == _OPTIONS:
            self._answer(self._context.call(self._environ))
            return
        full = self._context.pages.submit(self)
        if full is not None:
            self._refuse(full, keep=self._has_whole_body)

    def body_received(self, piece: bytes) -> None:
        """Discard the piece."""

    def body_ended(self) -> None:
        """The whole body has been received."""
        self._has_whole_body = True

    def body_failed(self, reason: str) -> None:
        """The body is malformed, so the request was not what its head said."""
        self._refuse(Problem(400, f"the body can't be read: {reason}"), keep=False)

    def body_too_large(self) -> None:
        """A chunk announces more than a body may have."""
        self._refuse(self._context.site.body_limits.too_large(), keep=False)

    def on_deadline(self) -> None:
        """End the connection if its large answer is not read. Nothing else has a deadline."""
        if self._sender is not None:
            self._sender.on_deadline()

    def client_disconnected(self) -> None:
        """The answer is not sent any more."""
        self._gone = self._settled = True
        if self._sender is not None:
            self._sender.stop()

    def sending_ended(self) -> bool:
        """The client may have left, or wait."""
        return may_wait(self._head, self._client, response_begun=self._sender is not None)

    def pause_writing(self) -> None:
        """The sender of a large answer sees by the client that it has to wait."""

    def resume_writing(self) -> None:
        """Send more of a large answer."""
        if self._sender is not None:
            self._sender.go_on()

    def run(self) -> None:
        """Call the application; a thread of the page queue calls this."""
        response = None if self._settled else self._context.call(self._environ)
        try:
            self._context.loop.call_soon_threadsafe(self._page_made, response)
        except RuntimeError:  # the server has ended meanwhile, and the client's connection with it
            return

    def cancel(self) -> None:
        """Called instead of `run` when the server ends, and the client's connection with it."""

    def _page_made(self, response: WsgiResponse | None) -> None:
        self._context.pages.ended()
        self._answer(response)

    def _answer(self, response: WsgiResponse | None) -> None:
        if not self._settled:
            self._settled = True
            keep = self._has_whole_body
            self._sender = self._context.respond(self._head, self._client, response, keep=keep)
            if self._sender is not None:
                self._sender.go_on()

    def _refuse(self, problem: Problem, *, keep: bool) -> None:
        if not self._settled:
            self._settled = True
            self._context.refuse(self._head, self._client, problem, keep=keep)

    def _environ(self) -> dict[str, Any]:
        environ = self._context.environ(self._head, self._client, self._path, b"")
        environ[BEGUN] = environ[ARRIVED] = self._arrived_s
        environ[CLIENT_GONE] = self._has_gone
        return environ

    def _has_gone(self) -> bool:
        return self._gone
