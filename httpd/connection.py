"""One client's connection: whose turn it is on it, and what a client may take.

- A connection beyond the limit is answered 503 and closed, before anything is read of it.
- A head must be complete within `header_timeout_s` of its first byte, the first one also of the connection's
  beginning; else 408, or just the end where nothing was sent. It must not be over MOST_HEAD_BYTES either.
- Between two requests the connection may be idle for `idle_timeout_s`; it may take as long to read a page.
- What can't be read in one way only is answered 400 with a problem document, and the connection closed.
- One request is answered at a time; what comes behind it waits, and soon the client has to.
- Images and lookups have their takers, everything else is a page of aiohttp's, which sees neither its body
  nor its wish to close: both are seen to here, for all answers alike.
- What comes of a body after its answer is thrown away for two seconds, so that the client sees the answer
  instead of a reset. If it ends in that time, the connection goes on.

How long a body and an answer may take is the exchange's matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, cast

from aiohttp import http_exceptions, web

from tfleet.contract.names import REQUEST_ID
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.httpd.acceptor import found_at
from tfleet.httpd.admission import Admission, ClientLimits, Clients
from tfleet.httpd.http1.body import Body, Length, body_of
from tfleet.httpd.http1.fields import UnreadableError, check_lines
from tfleet.httpd.http1.local_response import last_answer
from tfleet.httpd.http1.proxy_protocol import protocol_fault
from tfleet.httpd.http1.request import RequestHead, RequestHeads
from tfleet.httpd.http1.reset import reset
from tfleet.httpd.timers import Alarm, Taking
from tfleet.proxy.forwarding.exchange import Exchange
from tfleet.proxy.forwarding.heads import bare_head
from tfleet.proxy.interfaces import Client
from tfleet.proxy.problems import TOO_MANY_CLIENTS, problem_response
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.telemetry.access_log import AccessLog

Take = Callable[[RequestHead, Client], Exchange | None]
"""Takes a request: gives an exchange that is to begin, or answers at once."""

Takers = Mapping[tuple[bytes, bytes], Take]
"""By method and path. All other requests are for pages."""

_LINGER_S: Final = 2.0
_MOST_WAITING_BYTES: Final = 64 * 1024
_MOST_HEADS_AT_ONCE: Final = 16
"""Who sends hundreds of requests in one piece waits for all the others in between."""
_MOST_EMPTY_LINES: Final = 2
_END: Final = b"\r\n\r\n"
_EMPTY_LINE: Final = b"\r\n"


class ClientConnection(web.RequestHandler):
    """An HTTP connection of a client's; to an exchange it is the Client."""

    __slots__ = (
        "_admission",
        "_advancing",
        "_alarm",
        "_answering",
        "_body",
        "_clients",
        "_ending",
        "_exchange",
        "_heads",
        "_keep",
        "_limits",
        "_line",
        "_observer",
        "_readiness",
        "_received",
        "_seen",
        "_takers",
        "_taking",
        "_was_asked",
        "full",
        "peer",
    )

    def __init__(
        self,
        server: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        takers: Takers,
        clients: Clients,
        limits: ClientLimits,
        observer: AccessLog,
        readiness: Readiness,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # none at all: the middleware writes it
            keepalive_timeout=0.0,  # see _process_keepalive
        )
        self.full = False
        self.peer: str | None = None
        self._takers = takers
        self._clients = clients
        self._limits = limits
        self._observer = observer
        self._readiness = readiness
        self._admission = Admission.CLOSED
        self._alarm = Alarm(loop, self._look)
        self._line: asyncio.Transport | None = None
        self._received = b""
        self._heads = RequestHeads()
        self._seen = 0
        """How much of it was looked at for a head, which was not whole."""
        self._body: Body = Length(0)
        self._exchange: Exchange | None = None
        self._answering = False
        self._advancing = False
        self._keep = True
        self._ending = False
        self._was_asked = False
        self._taking = Taking(limits.idle_timeout_s)

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        line = self._line = cast(asyncio.Transport, transport)
        self._admission = self._clients.come()
        if self._admission is Admission.SERVED:
            peer = line.get_extra_info("peername")
            self.peer = peer[0] if peer else None
            super().connection_made(line)
            self._alarm.set(self._loop.time() + self._limits.header_timeout_s)
        elif self._admission is Admission.TOLD_OFF:
            line.write(last_answer(TOO_MANY_CLIENTS, request_id(None), self._limits.cors))
            self._end_slowly()
        else:
            line.abort()

    def connection_lost(self, error: BaseException | None) -> None:
        self._clients.go(self._admission)
        self._alarm.end()
        self._ending = True
        self._line = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_left()
        if self._admission is Admission.SERVED:
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._ending or not data:  # aiohttp goes on with what its parser holds, which is nothing
            return
        self._received = self._received + data if self._received else data
        self._advance()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.full = True
        if self._exchange is not None:
            self._exchange.client_full()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.full = False
        if self._exchange is not None:
            self._exchange.client_drained()
        elif not self._advancing:
            self._go_through()

    # What an exchange asks for.

    @property
    def staying(self) -> bool:
        return not self._readiness.draining

    def send(self, data: bytes) -> None:
        if self._line is not None:
            self._line.write(data)

    def unsent_bytes(self) -> int:
        return 0 if self._line is None else self._line.get_write_buffer_size()

    def hold_back(self) -> None:
        if self._line is not None and not self._line.is_closing():
            self._line.pause_reading()

    def go_on(self) -> None:
        if self._line is not None and not self._line.is_closing():
            self._line.resume_reading()

    def look_at(self, when_s: float) -> None:
        self._alarm.set(when_s)

    def answered(self, *, keep: bool) -> None:
        self._exchange = None
        self._answering = False
        self._keep = keep
        now_s = self._loop.time()
        self._taking.begin(self.unsent_bytes(), now_s)
        if not self._body.ended:
            self._alarm.set(now_s + _LINGER_S)
        elif not keep:
            self._end_slowly()
        else:
            self._alarm.set(now_s + self._limits.idle_timeout_s)
        if not self._advancing:
            self._go_through()

    def break_off(self) -> None:
        self._exchange = None
        self._ending = True
        if self._line is not None:
            reset(self._line)

    # What aiohttp asks for.

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """Called by aiohttp at the end of each answer, which is all that is wanted of it here."""
        if self._answering:
            self._loop.call_soon(self._page_sent)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Called by aiohttp for a head that could be read here, but not there, and where it fails itself."""
        name = request_id(None)
        if isinstance(exc, http_exceptions.HttpProcessingError):
            problem = Problem(400, "this is no HTTP request: its method or its target can't be read")
            self._observer.refused(request_id=name, status=problem.status, error=problem.detail)
        else:
            problem = Problem(500, "the proxy failed; its log has the reason under this request id")
            self._observer.went_wrong(request_id=name, error=exc)
        response = problem_response(problem)
        response.headers[REQUEST_ID] = name
        response.headers["Connection"] = "close"
        response.headers.update(self._limits.cors.headers(None))
        self._keep = False
        return response

    def _process_keepalive(self) -> None:
        """Called by aiohttp when it has nothing to do, which is not to say that nobody has."""

    # What is decided here.

    def end_if_idle(self, *, newcomers: bool) -> None:
        """Close it if nothing is under way on it. One that was never used counts only with `newcomers`."""
        under_way = self._answering or self._ending or not self._body.ended
        if not (under_way or self._received or self.unsent_bytes()) and (self._was_asked or newcomers):
            self._end_now()

    @property
    def last(self) -> bool:
        """Whether the answer that is under way is the last one."""
        return not self._keep or self._readiness.draining

    def _go_through(self) -> None:
        """Go on with what has come, and with reading."""
        self.go_on()
        self._advance()

    def _advance(self) -> None:
        """Go through what has come, as far as it is its turn; the client has to wait while it is not."""
        self._advancing = True
        heads = 0
        while self._received and not self._ending:
            if not self._body.ended:
                self._read_body()
            elif self._answering or self.full:
                if self.full or len(self._received) > _MOST_WAITING_BYTES:
                    self.hold_back()
                break
            elif heads == _MOST_HEADS_AT_ONCE:
                self.hold_back()
                self._loop.call_soon(self._go_through)
                break
            elif not self._read_head():
                break
            heads += 1
        self._advancing = False

    def _read_head(self) -> bool:
        """Whether there was a whole head."""
        for _ in range(_MOST_EMPTY_LINES):
            self._received = self._received.removeprefix(_EMPTY_LINE)
        received = self._received
        end = received.find(_END, max(0, self._seen - len(_END)))
        try:
            if received.startswith(_EMPTY_LINE):
                raise UnreadableError("it begins with empty lines")
            if end < 0:
                if self._seen == 0 and self._was_asked:  # a new connection has its time from its beginning
                    self._alarm.set(self._loop.time() + self._limits.header_timeout_s)
                check_lines(received, self._seen)
                self._seen = len(received)
                return False
            head = self._heads.read(received[: end + 2])
        except UnreadableError as error:
            self._refuse(Problem(400, f"this is no HTTP request: {protocol_fault(received) or error}"))
            return False
        self._received = received[end + 4 :]
        self._seen = 0
        self._begin(head)
        return True

    def _begin(self, head: RequestHead) -> None:
        self._alarm.set(None)
        self._answering = self._was_asked = True
        self._body = body_of(head.chunked, head.length_bytes)
        take = self._takers.get((head.method, head.target.partition(b"?")[0]))
        if take is not None:
            exchange = self._exchange = take(head, self)
            if exchange is None:
                return
            if self._body.ended:
                exchange.body_ended()
            elif self._received:  # what is there already of its body goes with its head
                self._read_body()
            if self._exchange is exchange:
                exchange.begin()
        else:
            self._keep = head.keep_alive and (self._body.ended or head.expect is None)
            self._alarm.set(self._loop.time() + self._limits.idle_timeout_s)
            super().data_received(bare_head(head, found_at(self._line)))

    def _read_body(self) -> None:
        received, self._received = self._received, b""
        try:
            piece, taken = self._body.feed(received)
        except UnreadableError as error:
            self._body_broke(str(error))
            return
        self._received = received[taken:]
        if piece and self._exchange is not None:
            self._exchange.body_came(piece)
        if not self._body.ended:
            return
        if self._exchange is not None:
            self._exchange.body_ended()
        elif not self._answering:  # the rest of a body whose request had its answer before
            self.answered(keep=self._keep)

    def _body_broke(self, reason: str) -> None:
        """What comes now can't be told from a body."""
        if self._exchange is not None:
            self._exchange.body_failed(reason)
        self._body, self._received, self._keep = Length(0), b"", False
        if not (self._ending or self._answering):
            self._end_slowly()

    def _page_sent(self) -> None:
        if self._answering and not self._ending:
            self.answered(keep=not self.last)

    def _look(self) -> None:
        """The time has come to see who is late."""
        if self._exchange is not None:
            self._exchange.look()
        elif self._received and self._body.ended and not (self._ending or self._answering):
            seconds = self._limits.header_timeout_s
            self._refuse(
                Problem(408, f"the head of the request took over {seconds:g} s: see --header-timeout")
            )
        elif self._taking.goes_on(self.unsent_bytes(), self._loop.time()):
            self._alarm.set(self._loop.time() + _LINGER_S)
        else:
            self._end_now()

    def _refuse(self, problem: Problem) -> None:
        """Answer what never became a request, and end the connection."""
        name = request_id(None)
        self._observer.refused(request_id=name, status=problem.status, error=problem.detail)
        self.send(last_answer(problem, name, self._limits.cors))
        self._end_slowly()

    def _end_slowly(self) -> None:
        """Closed at once, a client that is still sending would be reset and never see the answer."""
        self._ending = True
        self._received = b""
        if self._line is not None:
            self.go_on()
            self._line.write_eof()
            now_s = self._loop.time()
            self._taking.begin(self.unsent_bytes(), now_s)
            self._alarm.set(now_s + _LINGER_S)

    def _end_now(self) -> None:
        """Nobody is owed anything on it."""
        self._ending = True
        if self._line is not None:
            self._line.abort()
