"""The worker's HTTP server: waitress in a thread of this process, with our own way to stop it.

Who answers what:

- What may be an image waits in the queue for one of the threads (see queue.py for how many may).
- All else is quick and answered at once by the thread that reads the sockets: a refusal, an image that has no
  place in the queue, and every question about the worker. A worker that has too much to do is not a dead one,
  and those who look after it must be able to see what is wrong and to drain it.
- What is answered at once gets one answer a connection in turn, and only when the answer before it has been
  taken: who sends thousands of questions without reading keeps nobody waiting but itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from tfleet.discovery.address import Address
from tfleet.worker.http.channel import Channel
from tfleet.worker.http.queue import Queue, QueueLimits

_IDLE_S = 75  # well over the proxy's 15 s, so that the proxy is the one who closes an idle connection
_CONNECTIONS = 2000
_POLL_S = 0.02
_READ_AT_ONCE = 256 * 1024  # bytes; to read 4 MB costs 6 ms of CPU, with waitress' own 8 KiB 22


class _WaitressServer(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    channel_class = Channel
    draining = False
    _loop: int | None = None

    def __init__(self, queue: Queue, **options: Any) -> None:
        self.queue = queue
        self._at_once: deque[Channel] = deque()
        super().__init__(None, **options)

    def add_task(self, channel: Channel) -> None:
        """Called when a request has become the first of its connection, by any thread.

        It may be the one that served the request before it, and is about to be free.
        """
        self.queue.end(channel.served)
        request = channel.requests[0]
        if request.may_be_image:
            body_bytes = request.body_bytes
            request.rejection = self.queue.enter(body_bytes)
            if request.rejection is None:
                request.queued_bytes = body_bytes
                super().add_task(channel)
                return
        self._at_once.append(channel)  # a thread that comes here wakes the loop when it is done

    def run(self) -> None:
        """The loop of the thread that reads the sockets. It ends when nothing is left open."""
        self._loop = threading.get_ident()
        while self._map:
            self._answer_at_once()
            more = any(not channel.total_outbufs_len for channel in list(self._at_once))
            timeout_s = 0 if more else self.adj.asyncore_loop_timeout
            wasyncore.poll2(timeout_s, self._map)  # not select(): it ends at descriptor 1024

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
            connection_limit=_CONNECTIONS,
            recv_bytes=_READ_AT_ONCE,
        )
        self._channels: dict[int, Any] = {}
        self._tasks = ThreadedTaskDispatcher()
        self.queue = Queue(threads, queue_limits)
        try:
            self._server = _WaitressServer(
                self.queue,
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

    def start(self, app: Callable[..., Any]) -> None:
        """Begin to answer with a WSGI application."""
        self._server.application = app
        self._loop.start()

    def announce_drain(self) -> None:
        """From now on each answer ends its connection; new ones are still taken."""
        self._server.draining = True

    def close(self, timeout_s: float) -> int:
        """Stop accepting, let what is in flight finish, and end.

        Returns how many requests were still unfinished after `timeout_s` and were broken off.
        """
        self.announce_drain()
        if self._loop.is_alive():
            self._in_loop(self._stop_accepting)
            deadline_s = time.monotonic() + timeout_s
            while self.busy and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)
        unfinished = self.busy
        # Threads that still compute are not waited for: their clients are told by the closed connection.
        self._tasks.shutdown(cancel_pending=True, timeout=0.1 if unfinished else 5)
        if self._loop.is_alive():
            self._in_loop(lambda: wasyncore.close_all(self._channels))
            self._loop.join()
        else:
            wasyncore.close_all(self._channels)
        return unfinished

    def _stop_accepting(self) -> None:
        self._server.accepting = False
        wasyncore.dispatcher.close(self._server)

    def _in_loop(self, action: Callable[[], None]) -> None:
        """Run it in the loop's thread, the only one that may touch the sockets, and wait for it."""
        done = threading.Event()

        def run() -> None:
            try:
                action()
            finally:
                done.set()

        self._server.trigger.pull_trigger(run)
        done.wait()
