"""One client's connection to waitress.

Rules that waitress alone does not keep, beside those of request.py and task.py:

- After a refusal the rest of the body is thrown away for a moment instead of resetting the connection,
  because a reset makes many clients lose the answer (RFC 9112 section 9.6).
- A body of which nothing has come for a while is given up: it holds bytes that others need.
- A client that closes while its request waits, or only its sending side, has left. The application is told
  that when the request's turn comes, so that it is counted, and its answer goes nowhere.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from waitress.channel import HTTPChannel

from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.request import Request
from tfleet.worker.wsgi.response import AppTask, RefusalTask

_LINGER_S = 2.0
_DISCARDED_AT_ONCE = 64 * 1024


class Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection that can linger: answered, half closed, and what still comes is thrown away."""

    task_class = AppTask
    error_task_class = RefusalTask

    request: Request | None
    linger = False
    served: Request | None = None
    """The request that was served last, or is being served."""
    _lingers_until_s: float | None = None
    _sends_ahead = False

    def parser_class(self, adj: Any) -> Request:
        """Called for each request."""
        return Request(adj, self.server.queue, self.server.gate, self.server.worker)

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight: no request, no part of one, no part of an answer."""
        return not (self.requests or self.request or self.total_outbufs_len)

    @property
    def silent(self) -> bool:
        """Whether nothing has come yet since it connected."""
        return bool(self.last_activity == self.creation_time)

    def service(self) -> None:
        """Answer the first request. Called by the thread that has taken it; see server.py for which."""
        self.served = request = self.requests[0]
        self.server.queue.begin(request)
        try:
            if request.may_be_image and not self.connected:
                request.rejection = Rejection.CLIENT_GONE
                AppTask(self, request).tell()
            super().service()
        finally:
            self.server.queue.end(request)
            if not self.connected:
                self._forget(*self.requests)  # those sent ahead: nobody calls this for them any more

    def cancel(self) -> None:
        """Called instead of `service` when the threads end."""
        self._forget(*self.requests)
        super().cancel()

    def del_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress' name
        """Called at every end of the connection. What is complete is left to `service`."""
        super().del_channel(map)
        if self.request is not None:
            self._forget(self.request)

    def give_up_stalled(self, now_s: float, timeout_s: float) -> None:
        """End a body of which nothing has come for so long. `now_s` is by time.time, as all in waitress."""
        request = self.request
        if self.requests or request is None or not request.lacks_body:
            return
        if now_s - self.last_activity < timeout_s:
            return
        if self.total_outbufs_len:
            self.will_close = True  # it does not read either
            return
        with self.requests_lock:
            request.give_up()
            self.request = None
            self.requests.append(request)
            self.server.add_task(self)

    def _forget(self, *requests: Request) -> None:
        for request in requests:
            self.server.queue.end(request)

    def received(self, data: bytes) -> bool:
        took: bool = super().received(data)
        if not self.connected and self.request is not None:
            self._forget(self.request)  # it was lost in between, as `100 Continue` went out
        return took

    def handle_close(self) -> None:
        if self.linger and self._lingers_until_s is None and self.connected:
            self._lingers_until_s = time.monotonic() + _LINGER_S
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the client is gone already: there is nothing to wait for
            else:
                self.will_close = False
                return
        super().handle_close()

    def readable(self) -> bool:
        if self._lingers_until_s is None:
            return bool(super().readable()) or self._watched
        if time.monotonic() >= self._lingers_until_s:
            self.handle_close()
            return False
        return True

    def writable(self) -> bool:
        return self._lingers_until_s is None and bool(super().writable())

    def handle_read(self) -> None:
        if self._watched:
            self._look_whether_it_left()
            return
        if self._lingers_until_s is None:
            self._sends_ahead = False
            super().handle_read()
            return
        try:
            self.recv(_DISCARDED_AT_ONCE)  # at the end of the stream it closes the channel by itself
        except OSError:
            super().handle_close()

    @property
    def _watched(self) -> bool:
        """Whether a request is under way, so that nothing is read here but the client's end."""
        return bool(self.requests) and self.connected and not self._sends_ahead

    def _look_whether_it_left(self) -> None:
        try:
            ahead = self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            ahead = b""
        if ahead:
            self._sends_ahead = True  # the next request: it is read when its turn comes
        else:
            self.handle_close()
