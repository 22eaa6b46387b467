"""The parts of the server that all requests share, and the sending of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from tfleet.contract.address import Address
from tfleet.contract.cors import Cors
from tfleet.contract.names import DRAIN_PATH
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.httpd.http1.local_response import connection_lines, local_problem
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client
from tfleet.worker.rejection import Rejection
from tfleet.worker.thread_pool import ThreadPool
from tfleet.worker.wsgi.admission_queue import AdmissionQueue
from tfleet.worker.wsgi.direct import DirectApplication, DirectPath
from tfleet.worker.wsgi.environ import QUEUE, environ_of, path_info
from tfleet.worker.wsgi.incoming_body import ArrivingBodies, BodyLimits
from tfleet.worker.wsgi.page_queue import PageQueue
from tfleet.worker.wsgi.response import Application, WsgiResponse, call
from tfleet.worker.wsgi.response_sender import ResponseSender

CheckTicket = Callable[[str | None, str], Rejection | None]
"""Takes X-Ticket and the query of a request. Returns why it is rejected, or None."""

NoteRefusal = Callable[[str, Problem], None]
"""Called for a request that never reached the application, with its request id and its answer."""

_FAILED: Final = Problem(500, "the worker failed; its log has the reason under this request id")


@dataclass(frozen=True, slots=True)
class WsgiSite:
    """The settings of one server. Requests that name another worker than `worker` are refused. What `direct`
    takes needs no thread.
    """

    application: Application
    worker: str
    address: Address
    check_ticket: CheckTicket | None
    body_limits: BodyLimits
    cors: Cors
    note_refusal: NoteRefusal
    direct: DirectApplication | None = None


@dataclass(frozen=True, slots=True)
class WsgiContext:
    """What all requests share: `queue` and `threads` are for predictions, `loop` is that of all connections.

    A client that reads nothing of a large answer for `reader_timeout_s` is disconnected.
    """

    site: WsgiSite
    queue: AdmissionQueue
    threads: ThreadPool
    pages: PageQueue
    arriving: ArrivingBodies
    reader_timeout_s: float
    loop: asyncio.AbstractEventLoop
    direct: DirectPath | None = None

    def respond(
        self, head: RequestHead, client: Client, response: WsgiResponse | None, *, keep: bool
    ) -> ResponseSender | None:
        """Send what the application answered; None where it failed.

        Of a large answer only the head is sent: returns what sends the rest.
        """
        if response is None:
            self.refuse(head, client, _FAILED)
            return None
        keep = keep and head.keep_alive and client.may_keep_alive
        lines = connection_lines(head, keep=keep)
        if response.is_large:
            client.send(response.whole_head(lines))
            return ResponseSender(client, response.slices(), self.loop, self.reader_timeout_s, keep=keep)
        client.send(response.on_wire(lines))
        client.finish(keep=keep)
        return None

    def refuse(self, head: RequestHead, client: Client, problem: Problem, *, keep: bool = False) -> None:
        """Answer what never reaches the application."""
        name = request_id(head.request_id)
        self.site.note_refusal(name, problem)
        keep = keep and head.keep_alive and client.may_keep_alive
        lines = connection_lines(head, keep=keep)
        path = path_info(head)
        if path != DRAIN_PATH:  # which is for no web page
            lines += self.site.cors.lines(head.origin)
        client.send(local_problem(problem, name, connection=lines, method=head.method, path=path))
        client.finish(keep=keep)

    def call(self, environ: Callable[[], dict[str, Any]]) -> WsgiResponse | None:
        """The application's answer, in whichever thread this is. None where it failed.

        `environ` makes what it is called with, and may fail, too: a body needs memory.
        """
        try:
            return call(self.site.application, environ())
        except BaseException as error:  # even a SystemExit must not end the thread or the loop
            structlog.get_logger().error("request failed", exc_info=error)
            return None

    def environ(self, head: RequestHead, client: Client, path: str, body: bytes) -> dict[str, Any]:
        """What the application is called with."""
        environ = environ_of(head, path=path, peer=client.peer, local=self.site.address, body=body)
        environ[QUEUE] = self.queue
        return environ
