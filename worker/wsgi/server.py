"""The worker's HTTP server: httpd on an event loop in a thread of its own, and threads for Flask.

The port is open as soon as the server is made, long before there is an application: clients that connect
meanwhile wait in the system's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import Final

import structlog

from tfleet.contract.address import Address
from tfleet.contract.cors import CORS_OFF, Cors
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.httpd import server as httpd
from tfleet.httpd.admission import Admission, ConnectionLimits
from tfleet.httpd.http1.local_response import closing_problem
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.listen import listening_sockets, resolve_blocking
from tfleet.runtime.open_files import raise_open_files_limit
from tfleet.worker.thread_pool import ThreadPool
from tfleet.worker.wsgi.admission_queue import AdmissionQueue, QueueLimits
from tfleet.worker.wsgi.bridge import Bridge
from tfleet.worker.wsgi.context import CheckTicket, NoteRefusal, WsgiContext, WsgiSite
from tfleet.worker.wsgi.direct import DirectApplication, DirectPath
from tfleet.worker.wsgi.incoming_body import ArrivingBodies, BodyLimits
from tfleet.worker.wsgi.page_queue import PageQueue
from tfleet.worker.wsgi.queued_call import QueuedCall
from tfleet.worker.wsgi.response import Application, WsgiResponse

CONNECTION_LIMITS: Final = ConnectionLimits(4096, idle_give_way=True)
"""As many as the proxy takes. It keeps an idle connection for less time than a worker does, so that the proxy
is the one that closes it."""

_FEWEST_CONNECTIONS: Final = 16
_OTHER_FILES: Final = 256
"""Open files that are kept for all else: TensorFlow, the registry, decoders, standard streams."""

_SECOND_S: Final = 1.0
_JOIN_S: Final = 5.0
_ABORTED_JOIN_S: Final = 0.1
"""For threads that may still work for clients that have gone, as a page's do: all others have had theirs."""

_TOO_MANY: Final = Problem(503, "the worker has all the connections it may have", retry_after_s=1)


def limit_to_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Raise the limit of open files as far as possible, and lower `max_connections` to what it allows. Logs a
    warning then.
    """
    wanted = limits.max_connections + _OTHER_FILES
    allowed = raise_open_files_limit(wanted)
    if allowed == wanted:
        return limits
    most = max(_FEWEST_CONNECTIONS, allowed - _OTHER_FILES)
    structlog.get_logger().warning(
        "fewer connections are accepted: raise the limit of open files (ulimit -n, LimitNOFILE=)",
        connections=most,
        open_files=allowed,
        wanted_open_files=wanted,
    )
    return replace(limits, max_connections=most)


@dataclass(frozen=True, slots=True)
class WorkerErrorResponses:
    """The answers to clients that sent no valid request."""

    cors: Cors
    note_refusal: NoteRefusal

    def malformed(self, problem: Problem, path: str) -> bytes:
        """The answer to a malformed head, or to one that took too long."""
        name = request_id(None)
        self.note_refusal(name, problem)
        return closing_problem(problem, name, self.cors, path)

    def too_many_connections(self) -> bytes:
        """The answer on a connection over the limit."""
        return closing_problem(_TOO_MANY, request_id(None), self.cors)


class WsgiServer:
    """Listens as soon as it is made, so that its address is known; serves from `start` to `close`.

    Raises OSError if it cannot listen. `once_a_second` is called once a second, in another thread.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        threads: int,
        body_limits: BodyLimits,
        queue_limits: QueueLimits = QueueLimits(),  # noqa: B008 - it is immutable
        connection_limits: ConnectionLimits = CONNECTION_LIMITS,
        check_ticket: CheckTicket | None = None,
        once_a_second: Callable[[], None] | None = None,
    ) -> None:
        self._sockets = listening_sockets(resolve_blocking(Address(host, port)))
        self.address = Address(host, self._sockets[0].getsockname()[1])
        self.queue = AdmissionQueue(threads, queue_limits)
        self._threads = ThreadPool(threads)
        self._pages = PageQueue()
        self._body_limits = body_limits
        self._connection_limits = replace(connection_limits, max_body_bytes=body_limits.max_bytes)
        self._check_ticket = check_ticket
        self._once_a_second = once_a_second
        self._running: _Running | None = None

    def __repr__(self) -> str:
        connections = 0 if self._running is None else self._running.server.admission.admitted
        return f"<WsgiServer {self.address} connections={connections} busy={self.busy} {self.queue!r}>"

    @property
    def busy(self) -> int:
        """The number of requests in flight, including those that are being received."""
        return 0 if self._running is None else self._running.server.busy

    def start(
        self,
        app: Application,
        worker: str = "",
        note_refusal: NoteRefusal = lambda name, problem: None,
        cors: Cors = CORS_OFF,
        on_failure: Callable[[], None] = lambda: None,
        direct: DirectApplication | None = None,
    ) -> Admission:
        """Begin to answer with a WSGI application. Images that name another worker than this are refused, and
        what `direct` takes does not go to the application.

        Returns the counter of connections. `on_failure` is called, in the server's thread, if the server
        fails after the start: then it answers nothing any more.
        """
        site = WsgiSite(
            app, worker, self.address, self._check_ticket, self._body_limits, cors, note_refusal, direct
        )
        started: Future[_Running] = Future()
        thread = threading.Thread(target=self._run_loop, args=(site, started, on_failure), name="http")
        thread.start()
        self._running = started.result()
        return self._running.server.admission

    def use_threads(self, threads: int) -> None:
        """Set the number of threads."""
        self.queue.use_threads(threads)
        self._threads.use(threads)

    def call_application(self, head: RequestHead, body: bytes, done: Callable[[WsgiResponse], None]) -> None:
        """Answer a request that came by another way, in a thread of the pool. Call it between `start` and
        `close`. `done` is called once, in whichever thread that is.
        """
        assert self._running is not None, "it serves"
        self._threads.submit(QueuedCall(self._running.context, head, body, done))

    def announce_drain(self) -> None:
        """From now on each answer closes its connection; new connections are still accepted."""
        if self._running is not None:
            with contextlib.suppress(RuntimeError):  # the loop has failed
                self._running.loop.call_soon_threadsafe(self._running.server.drain)

    def close(self, timeout_s: float) -> int:
        """Stop accepting, wait for the requests in flight, and end.

        Returns how many requests were unfinished after `timeout_s` and were aborted.
        """
        running, self._running = self._running, None
        if running is None:
            for each in self._sockets:
                each.close()
            self._threads.close(_JOIN_S)
            self._pages.close(_JOIN_S)
            return 0
        # Idle connections stay until the last request is answered: a client that asks on one is told by a 503
        # to ask another worker, and `tfleet drain` sees by its connection when the worker has ended.
        unfinished = running.last_answers(timeout_s)
        # Threads that still compute are not waited for: their clients see the closed connection.
        self._threads.close(timeout_s=_ABORTED_JOIN_S if unfinished else _JOIN_S)
        self._pages.close(_ABORTED_JOIN_S)
        with contextlib.suppress(RuntimeError):  # the loop has failed
            running.loop.call_soon_threadsafe(running.stop.set)
        running.thread.join()
        for each in self._sockets:  # a loop that has failed leaves them open
            each.close()
        return unfinished

    def _run_loop(self, site: WsgiSite, started: Future[_Running], on_failure: Callable[[], None]) -> None:
        """Run the event loop, from `start` to the end of `close`."""
        try:
            asyncio.run(self._serve(site, started))
        except BaseException as error:
            if not started.done():  # `start` waits for it, and raises this
                started.set_exception(error)
                return
            structlog.get_logger().error("HTTP server failed", exc_info=error)
            on_failure()

    async def _serve(self, site: WsgiSite, started: Future[_Running]) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        reader_timeout_s = self._connection_limits.idle_timeout_s
        direct = None if site.direct is None else DirectPath(site.direct, loop)
        context = WsgiContext(
            site, self.queue, self._threads, self._pages, ArrivingBodies(), reader_timeout_s, loop, direct
        )
        bridge = Bridge(context)
        errors = WorkerErrorResponses(site.cors, site.note_refusal)
        server = httpd.Server(bridge, errors, self._connection_limits, loop)
        server.listen(self._sockets)
        started.set_result(_Running(loop, threading.current_thread(), server, stop, context))
        try:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_SECOND_S):
                        await stop.wait()
                # In a thread, as it reads a file: a disk that hangs must not stop the connections.
                if self._once_a_second is not None:
                    await asyncio.to_thread(self._once_a_second)
        finally:  # after a failure, clients see a closed connection; else all are closed already
            await server.close(timeout_s=0)


@dataclass(frozen=True, slots=True)
class _Running:
    """The parts that exist while the server runs."""

    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    server: httpd.Server
    stop: asyncio.Event
    context: WsgiContext

    def last_answers(self, timeout_s: float) -> int:
        """Close the server and return how many requests were aborted; 0 if its loop has failed."""
        closing = self.server.close(timeout_s, keep_idle=True)
        try:
            closed = asyncio.run_coroutine_threadsafe(closing, self.loop)
        except RuntimeError:
            closing.close()
            return 0
        while self.thread.is_alive():
            # The loop may fail meanwhile: then the result is cancelled, or never set.
            with contextlib.suppress(TimeoutError, CancelledError):
                return closed.result(_SECOND_S)
        return 0
