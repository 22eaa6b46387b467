"""Small predictions without a thread of their own: the event loop reads them, and one run answers many.

A thread and the WSGI application cost several times as much as a small model itself. So the loop gives the
requests that came in one turn to the `DirectApplication` together, and what came of one run returns to the
loop together. One turn reads so many bodies that no other connection waits long. What fails goes to the WSGI
application in a thread, which answers it as one of its own: there is one place that says how an error is
answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import structlog

from tfleet.httpd.http1.request import RequestHead
from tfleet.worker.wsgi.response import WsgiResponse

MOST_BYTES: Final = 8 * 1024
"""The largest body that the loop reads: in the worst case it takes a millisecond."""

TURN_BYTES: Final = 16 * 1024
"""The most that one turn of the loop reads of all bodies together, so that it takes two milliseconds at the
worst. What came beyond that is read in the next turns, in its order.
"""

Outcome: TypeAlias = WsgiResponse | BaseException


@dataclass(frozen=True, slots=True)
class DirectRequest:
    """A request whose whole body has come. Times are by `time.perf_counter`.

    `gone` says whether its client has left. `settle` takes its outcome, in the loop's thread.
    """

    head: RequestHead
    path: str
    peer: str | None
    body: bytes
    begun_s: float
    arrived_s: float
    gone: Callable[[], bool]
    settle: Callable[[Outcome], None]


Done: TypeAlias = Callable[[Sequence[tuple[DirectRequest, Outcome]]], None]


class DirectApplication(Protocol):
    """Answers some requests. Its first two methods are called in the loop's thread."""

    def takes(self, request: DirectRequest) -> bool:
        """Whether it answers such a request. The body has `MOST_BYTES` at most."""

    def read(self, request: DirectRequest) -> Any:
        """Read a request. Returns what `run` needs of it; raises what it fails with."""

    def run(self, requests: Sequence[tuple[DirectRequest, Any]], done: Done) -> None:
        """Begin to answer these requests, and return at once. `done` may be called from any thread, with some
        of them at a time.
        """


class DirectPath:
    """The way of requests to a DirectApplication and back. Only the loop's thread may call its methods."""

    def __init__(self, application: DirectApplication, loop: asyncio.AbstractEventLoop) -> None:
        self._application = application
        self._loop = loop
        self._read: list[tuple[DirectRequest, Any]] = []
        """Those that were read in this turn of the loop."""
        self._read_bytes = 0
        self._unread: deque[DirectRequest] = deque()
        """Those that came when this turn had read enough, in their order."""
        self._scheduled = False
        """Whether the next turn calls `_run`."""

    def takes(self, request: DirectRequest) -> bool:
        """Whether a request goes this way."""
        return self._application.takes(request)

    def begin(self, request: DirectRequest) -> None:
        """Answer a request: `settle` is called with what came of it."""
        self._unread.append(request)
        self._read_on()

    def _read_on(self) -> None:
        """Read in the order of arrival, as much as one turn may."""
        if not self._scheduled:
            # What else comes in this turn runs with it, and nothing is waited for.
            self._scheduled = True
            self._loop.call_soon(self._run)
        while self._unread and self._read_bytes + len(self._unread[0].body) <= TURN_BYTES:
            request = self._unread.popleft()
            self._read_bytes += len(request.body)
            try:
                self._read.append((request, self._application.read(request)))
            except Exception as error:
                _settle([(request, error)])

    def _run(self) -> None:
        requests, self._read = self._read, []
        self._read_bytes, self._scheduled = 0, False
        try:
            if requests:
                self._application.run(requests, self._done)
        except Exception as error:
            _settle([(request, error) for request, _ in requests])
        if self._unread:
            self._read_on()

    def _done(self, outcomes: Sequence[tuple[DirectRequest, Outcome]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, outcomes)
        except RuntimeError:  # the server has ended meanwhile, and the clients' connections with it
            return


def _settle(outcomes: Sequence[tuple[DirectRequest, Outcome]]) -> None:
    for request, outcome in outcomes:
        try:
            request.settle(outcome)
        except Exception as error:
            # The others of this run belong to other clients: they get their answers all the same.
            structlog.get_logger().error("an answer was not sent", path=request.path, exc_info=error)
