"""The worker's HTTP server: waitress in a thread of this process, with our own way to stop it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from tfleet.discovery.address import Address
from tfleet.worker.http.channel import Channel

_IDLE_S = 75  # well over the proxy's 15 s, so that the proxy is the one who closes an idle connection
_CONNECTIONS = 2000
_POLL_S = 0.02
_ANSWERED_AT_ONCE = frozenset({"/healthz", "/readyz"})


class _WaitressServer(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    channel_class = Channel
    draining = False

    def add_task(self, channel: Channel) -> None:
        """Questions about the worker's health don't queue behind images: a busy worker is not a dead one."""
        if channel.requests[0].path in _ANSWERED_AT_ONCE:
            self.trigger.pull_trigger(channel.service)
        else:
            super().add_task(channel)


class Server:
    """Listens from the moment it is made, so that its address is known; serves from `start` to `close`.

    Raises OSError where it can't listen.
    """

    def __init__(self, *, host: str, port: int, threads: int, max_body_bytes: int) -> None:
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
            asyncore_use_poll=True,  # select() ends at descriptor 1024
        )
        self._channels: dict[int, Any] = {}
        self._tasks = ThreadedTaskDispatcher()
        try:
            self._server = _WaitressServer(
                None, self._channels, dispatcher=self._tasks, adj=adjustments, sockinfo=adjustments.listen[0]
            )
        except OSError:
            wasyncore.close_all(self._channels)
            raise
        self._tasks.set_thread_count(threads)
        self._loop = threading.Thread(target=self._server.run, name="http")
        self.address = Address(host, int(self._server.effective_port))

    def __repr__(self) -> str:
        return f"<Server {self.address} connections={len(self._server.active_channels)} busy={self.busy}>"

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
