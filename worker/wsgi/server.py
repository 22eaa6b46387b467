"""The worker's HTTP server: waitress in a thread of this process, with our own way to stop it.

Who answers what:

- What may be an image waits in the queue for one of the threads (see queue.py for how many may).
- All else is quick and answered at once by the thread that reads the sockets: a refusal, an image that the
  gate does not let in or that has no place in the queue, and every question about the worker. A worker that
  has too much to do is not a dead one, and those who look after it must be able to see what is wrong and to
  drain it.
- What is answered at once gets one answer a connection in turn, and only when the answer before it has been
  taken: who sends thousands of questions without reading keeps nobody waiting but itself.

The end: whoever had connected before the port closed is answered, also who was not accepted yet and who has
only just sent something.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from tfleet.contract.address import Address
from tfleet.contract.cors import CORS_OFF, Cors
from tfleet.contract.names import MAX_HEAD_BYTES
from tfleet.contract.problem import Problem
from tfleet.worker.wsgi.accept_limit import Door, most_connections
from tfleet.worker.wsgi.admission_queue import Queue, QueueLimits
from tfleet.worker.wsgi.connection import Channel
from tfleet.worker.wsgi.request import Gate

T = TypeVar("T")
NoteRefusal = Callable[[str, Problem], None]
"""Called with the request id of what never reached the application, and with its answer."""

_IDLE_S = 75  # well over the proxy's 15 s, so that the proxy is the one who closes an idle connection
_ACCEPTED_AT_ONCE = 32
_FIRST_REQUEST_S = 1.0  # at the end, for who has connected and asked nothing yet
_BODY_S = 30.0  # as the proxy waits for its clients
_LOOK_EVERY_S = 1
_POLL_S = 0.02
_READ_AT_ONCE = 256 * 1024  # bytes; to read 4 MB costs 6 ms of CPU, with waitress' own 8 KiB 22


class _WaitressServer(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    channel_class = Channel
    draining = False
    worker = ""
    cors = CORS_OFF
    next_channel_cleanup = 0.0  # by time.time, as all in waitress
    _loop: int | None = None

    def __init__(self, queue: Queue, gate: Gate | None, body_timeout_s: float, **options: Any) -> None:
        self.queue = queue
        self.gate = gate
        self._body_timeout_s = body_timeout_s
        self._door = Door(most_connections(), time.monotonic)
        self._at_once: deque[Channel] = deque()
        super().__init__(None, **options)

    def add_task(self, channel: Channel) -> None:
        """Called when a request has become the first of its connection, by any thread."""
        request = channel.requests[0]
        if request.may_be_image and request.rejection is None:
            rejection = self.queue.enter(request)
            if rejection is None:
                super().add_task(channel)
                return
            request.reject(rejection)
        self._at_once.append(channel)  # a thread that comes here wakes the loop when it is done

    def maintenance(self, now: float) -> None:
        """Called by the loop each second while it listens: after that a drain has its own end."""
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            channel.give_up_stalled(now, self._body_timeout_s)

    def run(self) -> None:
        """The loop of the thread that reads the sockets. It ends when nothing is left open."""
        self._loop = threading.get_ident()
        while self._map:
            self._answer_at_once()
            more = any(not channel.total_outbufs_len for channel in list(self._at_once))
            timeout_s = 0 if more else self._door.patience_s(self.adj.asyncore_loop_timeout)
            wasyncore.poll2(timeout_s, self._map)  # not select(): it ends at descriptor 1024

    def readable(self) -> bool:
        """Whether the loop is to say when somebody connects. Asked once a round."""
        now_s = time.time()
        if now_s >= self.next_channel_cleanup:
            self.next_channel_cleanup = now_s + self.adj.cleanup_interval
            self.maintenance(now_s)
        return self._door.open(len(self.active_channels))

    def handle_accept(self) -> None:
        """Let in some who have connected: one in each round of the loop is slow where the rounds are long."""
        for _ in range(_ACCEPTED_AT_ONCE):
            if not (self._door.open(len(self.active_channels)) and self._accepts()):
                return

    def stop_accepting(self) -> None:
        """Let in who has connected already, and close the port."""
        for _ in range(2 * self.adj.backlog):  # more than can wait, but not for ever
            if not self._accepts():
                break
        self.accepting = False
        wasyncore.dispatcher.close(self)

    def unread(self) -> bool:
        """Whether a connection has something that the loop is to read and has not."""
        look = select.poll()
        for channel in list(self.active_channels.values()):
            if channel.readable():
                look.register(channel.socket, select.POLLIN)
        return bool(look.poll(0))

    def _accepts(self) -> bool:
        """Let one in who has connected; false if that can't be."""
        try:
            connection, address = self.socket.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True  # gone already, which says nothing about the next
        except OSError as error:
            self._door.shut(error)
            return False
        try:
            self.set_socket_options(connection)
            Channel(self, connection, address, self.adj, map=self._map)
        except OSError:
            connection.close()
        return True

    def pull_trigger(self) -> None:
        """Wake the loop. It does not wake itself: each of its rounds looks at all connections."""
        if threading.get_ident() != self._loop:
            super().pull_trigger()

    def _answer_at_once(self) -> None:
        for _ in range(len(self._at_once)):
            channel = self._at_once.popleft()
            if channel.total_outbufs_len:
                self._at_once.append(channel)  # more could make the loop wait for a client that doesn't read
                continue
            try:
                channel.service()
            except Exception:  # it ends this connection, and not the loop that all of them need
                channel.handle_error()


class Server:
    """Listens from the moment it is made, so that its address is known; serves from `start` to `close`.

    Raises OSError where it can't listen.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        threads: int,
        max_body_bytes: int,
        queue_limits: QueueLimits = QueueLimits(),  # noqa: B008 - it is immutable
        gate: Gate | None = None,
        body_timeout_s: float = _BODY_S,
    ) -> None:
        # Requests that wait for a thread are what the worker's own figures show; a line for each is noise.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        adjustments = Adjustments(
            host=host,
            port=port,
            threads=threads,
            ident="tfleet",
            clear_untrusted_proxy_headers=False,  # X-Forwarded-For is only logged
            max_request_body_size=max_body_bytes + 1,  # waitress refuses what is as large as its limit
            channel_timeout=_IDLE_S,
            cleanup_interval=_LOOK_EVERY_S,
            max_request_header_size=MAX_HEAD_BYTES,
            recv_bytes=_READ_AT_ONCE,
            inbuf_overflow=max_body_bytes + 2,  # no files: the queue bounds the bytes in memory
        )
        self._channels: dict[int, Any] = {}
        self._tasks = ThreadedTaskDispatcher()
        self.queue = Queue(threads, queue_limits)
        try:
            self._server = _WaitressServer(
                self.queue,
                gate,
                body_timeout_s,
                map=self._channels,
                dispatcher=self._tasks,
                adj=adjustments,
                sockinfo=adjustments.listen[0],
            )
        except OSError:
            wasyncore.close_all(self._channels)
            raise
        self._tasks.set_thread_count(threads)
        self._loop = threading.Thread(target=self._server.run, name="http")
        self.address = Address(host, int(self._server.effective_port))

    def __repr__(self) -> str:
        connections = len(self._server.active_channels)
        return f"<Server {self.address} connections={connections} busy={self.busy} {self.queue!r}>"

    @property
    def busy(self) -> int:
        """How many requests are in flight, those included that are still coming in."""
        return sum(not channel.idle for channel in list(self._server.active_channels.values()))

    def start(
        self,
        app: Callable[..., Any],
        worker: str = "",
        note_refusal: NoteRefusal = lambda name, problem: None,
        cors: Cors = CORS_OFF,
    ) -> None:
        """Begin to answer with a WSGI application. Images that name another worker than this are refused."""
        self._server.application = app
        self._server.worker = worker
        self._server.note_refusal = note_refusal
        self._server.cors = cors
        self._loop.start()

    def use_threads(self, threads: int) -> None:
        """Work on so many requests at once from now on."""
        self.queue.use_threads(threads)
        self._tasks.set_thread_count(threads)

    def announce_drain(self) -> None:
        """From now on each answer ends its connection; new ones are still taken."""
        self._server.draining = True

    def close(self, timeout_s: float) -> int:
        """Stop accepting, let what is in flight finish, and end.

        Returns how many requests were still unfinished after `timeout_s` and were broken off.
        """
        self.announce_drain()
        if self._loop.is_alive():
            self._in_loop(self._server.stop_accepting)
            self._wait_for_answers(timeout_s)
        unfinished = self.busy
        # Threads that still compute are not waited for: their clients are told by the closed connection.
        self._tasks.shutdown(cancel_pending=True, timeout=0.1 if unfinished else 5)
        if self._loop.is_alive():
            self._in_loop(lambda: wasyncore.close_all(self._channels))
            self._loop.join()
        else:
            wasyncore.close_all(self._channels)
        return unfinished

    def _wait_for_answers(self, timeout_s: float) -> None:
        began_s = time.monotonic()
        while (waited_s := time.monotonic() - began_s) < timeout_s:
            asking = self.busy or (waited_s < _FIRST_REQUEST_S and self._silent)
            if not asking and not self._in_loop(self._server.unread):
                return
            time.sleep(_POLL_S)

    @property
    def _silent(self) -> bool:
        """Whether somebody has connected and asked nothing yet."""
        return any(channel.silent for channel in list(self._server.active_channels.values()))

    def _in_loop(self, action: Callable[[], T]) -> T:
        """What it returns in the loop's thread, the only one that may touch the sockets."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(action())
            except BaseException as error:
                done.set_exception(error)

        self._server.trigger.pull_trigger(run)
        return done.result()
