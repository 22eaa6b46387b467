"""A request that may need the model, such as an image or a row of a table, from its head to its answer.

- Its body is held in memory, whole, before the application sees it.
- A small one may need neither a thread nor the application: see direct.py.
- A body for which the queue has no room is refused when its head is there, or when it has grown too large. A
  client that asks first (`Expect: 100-continue`) is told so before it sends any of it.
- Where a request is refused whose body is small and on its way, the body is thrown away first, so that the
  connection can be kept. A body that is large, in chunks or not yet sent ends the connection.
- A client that leaves while its request waits keeps its place until a thread takes the request; the
  application is told then, so that it is counted, and its answer goes nowhere.
"""

from __future__ import annotations

import time
from typing import Any, Final

from tfleet.contract.problem import Problem
from tfleet.httpd.half_closed import may_wait
from tfleet.httpd.http1.local_response import CONTINUE
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.context import WsgiContext
from tfleet.worker.wsgi.direct import MOST_BYTES, DirectRequest, Outcome
from tfleet.worker.wsgi.environ import ARRIVED, BEGUN, CLIENT_GONE, FAILED, REJECTED
from tfleet.worker.wsgi.incoming_body import IncomingBody, Refusal
from tfleet.worker.wsgi.response import WsgiResponse
from tfleet.worker.wsgi.response_sender import ResponseSender

_DISCARDED_BYTES: Final = 64 * 1024
"""The largest unneeded body that is read to its end, so that its connection can be kept."""


class ImageRequest:
    """An OpenRequest for httpd, and a job for the thread pool.

    `run` and `cancel` are called in a thread of the pool, all else in the thread of the event loop.
    """

    __slots__ = (
        "_arrived_s",
        "_began_s",
        "_body",
        "_client",
        "_context",
        "_ended",
        "_failure",
        "_gone",
        "_head",
        "_path",
        "_refusal",
        "_sender",
        "_settled",
        "_started",
    )

    def __init__(
        self, context: WsgiContext, head: RequestHead, client: Client, path: str, rejection: Rejection | None
    ) -> None:
        self._context = context
        self._head = head
        self._client = client
        self._path = path
        now_s = context.loop.time()
        self._body = IncomingBody(head, context.queue, context.arriving, context.site.body_limits, now_s)
        self._failure: BaseException | None = None
        """What it failed with on the direct path."""
        self._refusal: Refusal | None = rejection or self._body.admit(
            now_s, asks_first=head.expect is not None
        )
        self._sender: ResponseSender | None = None
        """Sends a large answer, once there is one."""
        self._began_s = self._arrived_s = time.perf_counter()
        self._started = False
        """Whether `start` was called: nothing may be sent before."""
        self._ended = False
        """Whether the whole body has come."""
        self._gone = False
        """Whether its client has left. Threads may read it at any time: it never becomes False again."""
        self._settled = False
        """Whether it was answered, or submitted to a thread, or its client has left."""

    def start(self) -> None:
        """Answers may be sent from now on."""
        self._started = True
        if self._refusal is None and not self._ended and self._head.expect is not None:
            self._client.send(CONTINUE)
        self._go_on()
        if not self._settled:
            self._client.wake_at(self._body.due_s)

    def body_received(self, piece: bytes) -> None:
        """Take the next piece, or throw it away where the request is refused."""
        if self._refusal is None and not self._settled:
            self._refusal = self._body.add(piece, self._context.loop.time())
            self._go_on()

    def body_ended(self) -> None:
        """The whole body has been received."""
        self._ended = True
        self._refusal = self._refusal or self._body.end()
        self._go_on()

    def body_failed(self, reason: str) -> None:
        """The body is malformed."""
        self._refusal = Problem(400, f"the body can't be read: {reason}")
        self._go_on()

    def body_too_large(self) -> None:
        """A chunk of the body announces too much."""
        self._refusal = self._context.site.body_limits.too_large()
        self._go_on()

    def on_deadline(self) -> None:
        """Refuse the request if its body is late; end the connection if its large answer is not read."""
        if self._sender is not None:
            self._sender.on_deadline()
        elif self._settled:
            return
        elif self._context.loop.time() < self._body.due_s:
            self._client.wake_at(self._body.due_s)
        else:
            self._refusal = self._context.site.body_limits.too_slow()
            self._go_on()

    def client_disconnected(self) -> None:
        """The answer is not sent any more."""
        self._gone = self._settled = True
        if self._sender is not None:
            self._sender.stop()
        self._body.forget()

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
        """Call the application; a thread of the pool calls this."""
        context, body = self._context, self._body
        context.queue.begin(body)  # gives up its place in the queue
        if self._gone:
            self._refusal = Rejection.CLIENT_GONE  # the application only counts it
        try:
            response = context.call(lambda: self._environ(body.take()))
        finally:
            context.queue.end(body)  # this thread is free before another request can know of the answer
        try:
            context.loop.call_soon_threadsafe(self._answer, response)
        except RuntimeError:  # the server has ended meanwhile, and the client's connection with it
            return

    def cancel(self) -> None:
        """Leave the queue without an answer; called instead of `run`."""
        self._context.queue.end(self._body)

    def _go_on(self) -> None:
        """Take the next step that what was received allows.

        - Nothing may be answered before `start`: what came of the body with the head is only taken in.
        - A Problem is answered at once. What is wrong with the body leaves nothing to wait for.
        - A Rejection waits for the end of a small body, so that the connection can be kept.
        - Otherwise the request needs all of its body, and only then a place in the queue: a client that sends
          slowly holds no place.
        """
        if not self._started or self._settled:
            return
        refusal = self._refusal
        if isinstance(refusal, Problem):
            self._settled = True
            self._body.forget()
            self._context.refuse(self._head, self._client, refusal)
        elif refusal is not None:
            if self._ended or awaits_body(self._head, most_bytes=_DISCARDED_BYTES):
                self._reject()
        elif self._ended:
            self._arrived_s = time.perf_counter()
            self._refusal = self._context.queue.enter(self._body)
            if self._refusal is not None:
                self._reject()
            else:
                self._settled = True
                self._begin()

    def _begin(self) -> None:
        """Take the direct path (direct.py), or wait for a thread."""
        context, body = self._context, self._body
        if context.direct is not None and body.received_bytes <= MOST_BYTES:
            request = self._direct_request()
            if context.direct.takes(request):
                context.queue.begin(body)
                context.direct.begin(request)
                return
        context.threads.submit(self)

    def _direct_request(self) -> DirectRequest:
        head, client, body = self._head, self._client, self._body.content
        times = self._began_s, self._arrived_s
        return DirectRequest(head, self._path, client.peer, body, *times, self._has_gone, self._settle)

    def _settle(self, outcome: Outcome) -> None:
        """What came of the direct path."""
        if isinstance(outcome, BaseException):
            self._failure = outcome
            self._context.threads.submit(self)
        else:
            self._context.queue.end(self._body)
            self._answer(outcome)

    def _reject(self) -> None:
        """Let the application answer that the request is rejected."""
        self._settled = True
        self._body.forget()
        self._answer(self._context.call(lambda: self._environ(b"")))

    def _answer(self, response: WsgiResponse | None) -> None:
        if not self._gone:
            self._sender = self._context.respond(self._head, self._client, response, keep=self._ended)
            if self._sender is not None:
                self._sender.go_on()

    def _environ(self, body: bytes) -> dict[str, Any]:
        environ = self._context.environ(self._head, self._client, self._path, body)
        environ[BEGUN] = self._began_s
        environ[ARRIVED] = self._arrived_s
        environ[CLIENT_GONE] = self._has_gone
        if self._refusal is not None:
            environ[REJECTED] = self._refusal
        elif self._failure is not None:
            environ[FAILED] = self._failure
        return environ

    def _has_gone(self) -> bool:
        return self._gone


def awaits_body(head: RequestHead, most_bytes: int = 0) -> bool:
    """Whether the connection can't be kept without reading a body that is too large to discard, of unknown
    length, or not yet sent.
    """
    return head.chunked or head.length_bytes > (0 if head.expect is not None else most_bytes)
