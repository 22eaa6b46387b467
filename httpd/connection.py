"""One keep-alive connection of a client: its heads, bodies, pipelining and time-outs.

Where a client is limited, and what then happens:

- **Too many connections** (admission.py): 503, and the connection is closed before anything is read from it.
  With `idle_give_way` the connection that has been idle longest is closed instead, if there is one.
- **A slow head**: it must be complete within `header_timeout_s` of its first byte, the first one of a
  connection within as long of its beginning. A client that sent part of a head gets 408. A silent connection
  is closed.
- **An idle connection** is closed after `idle_timeout_s`.
- **A slow body, or a slow reader of a response under way**: the handler sets the deadline with `wake_at`. See
  proxy/forwarding/timeouts.py for forwarded requests, proxy/admin/page_request.py for the proxy's pages, and
  worker/wsgi/image_request.py for uploads to a worker.
- **A slow reader of a complete response**: closed when it reads nothing for `idle_timeout_s` (timers.py).
- **An ambiguous or an oversized head** (http1/request.py, http1/fields.py): 400, and the connection ends.
- **Pipelining**: one request is answered at a time. What comes behind it waits; beyond 64 KiB of it, or when
  the client does not read, nothing more is read from the connection, so that the client has to wait.
- **A client that sends no more** gets the answers to what it sent, unless it has left (half_closed.py).
- **A body that comes after the response** is read and discarded for a while (linger.py), so that the client
  sees the response instead of a reset. If the body ends in that time, the connection is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, cast

from tfleet.contract.address import Address
from tfleet.contract.problem import Problem
from tfleet.httpd.admission import AdmissionVerdict
from tfleet.httpd.connection_context import ConnectionContext
from tfleet.httpd.connection_phase import ANSWERING, CLOSING, IDLE, NEW
from tfleet.httpd.half_closed import HalfClosed
from tfleet.httpd.http1.body import BodyTooLargeError
from tfleet.httpd.http1.fields import UnreadableError
from tfleet.httpd.http1.request import RequestHead, path_of
from tfleet.httpd.http1.request_stream import RequestStream, proxy_protocol_problem
from tfleet.httpd.http1.reset import reset
from tfleet.httpd.interfaces import OpenRequest
from tfleet.httpd.read_flow import ReadFlow
from tfleet.httpd.response_end import ResponseEnd
from tfleet.httpd.timers import Deadline

_MAX_PIPELINED_BYTES: Final = 64 * 1024
_MAX_HEADS_AT_ONCE: Final = 16
"""A client that sends hundreds of requests at once then waits for the other clients' turns."""


class Connection(asyncio.Protocol):
    """An HTTP/1 connection of a client. To the handler of a request it is the Client (interfaces.py)."""

    __slots__ = (
        "_advancing",
        "_context",
        "_deadline",
        "_end",
        "_flow",
        "_half_closed",
        "_keep",
        "_phase",
        "_request",
        "_stream",
        "_transport",
        "_verdict",
        "peer",
        "write_paused",
    )

    def __init__(self, context: ConnectionContext) -> None:
        self.write_paused = False
        self.peer: str | None = None
        self._context = context
        self._verdict = AdmissionVerdict.DROPPED
        self._deadline = Deadline(context.loop, self._deadline_expired)
        self._end = ResponseEnd(self._deadline, context.limits.idle_timeout_s)
        self._transport: asyncio.Transport | None = None
        self._flow = ReadFlow(context.loop)
        self._half_closed = HalfClosed(self, context.loop)
        self._stream = RequestStream(context.limits.max_body_bytes)
        self._phase = NEW
        self._request: OpenRequest | None = None
        self._keep = True
        self._advancing = False
        """Whether `_advance` runs further up the stack: it goes on by itself when a request is finished."""

    def __repr__(self) -> str:
        return f"<Connection of {self.peer}, {self._phase.name.lower()}>"

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        context = self._context
        self._transport = cast(asyncio.Transport, transport)
        self._flow.attach(self._transport)
        if context.admission.full:
            context.idle.close_longest()
        self._verdict = context.admission.connected()
        if self._verdict is AdmissionVerdict.DROPPED:
            self.end()
            return
        context.connections.add(self)
        if self._verdict is AdmissionVerdict.ADMITTED:
            peer = transport.get_extra_info("peername")
            self.peer = peer[0] if peer else None
            self._deadline.set(context.loop.time() + context.limits.header_timeout_s)
            if context.limits.idle_give_way:
                context.idle.add(self)
        else:
            self._transport.write(context.errors.too_many_connections())
            self._end_gracefully()

    def connection_lost(self, error: BaseException | None) -> None:
        self._context.connections.discard(self)
        self._context.idle.discard(self)
        self._context.admission.disconnected(self._verdict)
        self._deadline.cancel()
        self._phase = CLOSING
        self._transport = None
        self._flow.detach()
        request, self._request = self._request, None
        if request is not None:
            request.client_disconnected()

    def data_received(self, data: bytes) -> None:
        if self._phase is not CLOSING:
            self._stream.add(data)
            self._advance()
        else:
            self._discarded(len(data))

    def eof_received(self) -> bool:
        """The client sends no more: it has left, or it waits for its answers (half_closed.py)."""
        request = self._request
        return request is not None and self._stream.body.ended and self._half_closed.keeps(request)

    def pause_writing(self) -> None:
        self.write_paused = True
        if self._request is not None:
            self._request.pause_writing()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._request is not None:
            self._request.resume_writing()
        elif not self._advancing:
            self._resume()  # requests may have waited for the client to take the response before them

    # Called by a handler: the Client of interfaces.py.

    @property
    def local(self) -> Address | None:
        name = None if self._transport is None else self._transport.get_extra_info("sockname")
        return Address(*name[:2]) if name else None

    @property
    def may_keep_alive(self) -> bool:
        return not self._context.draining

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def unsent_bytes(self) -> int:
        transport = self._transport  # read once: a shutdown or a page may ask in another thread
        return 0 if transport is None else transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._flow.pause()

    def resume_reading(self) -> None:
        self._flow.resume()

    def wake_at(self, when_s: float) -> None:
        self._deadline.set(when_s)

    def finish(self, *, keep: bool) -> None:
        if self._phase is not ANSWERING:
            return  # the client has gone
        self._request = None
        self._phase = IDLE
        self._keep = keep and self._keep
        now_s = self._context.loop.time()
        self._end.begin(self.unsent_bytes(), now_s)
        if not self._keep:
            self._end_gracefully()
        elif self._stream.body.ended:
            self._become_idle(now_s)
        else:
            self._end.linger(now_s, draining=self._context.draining)  # `_read_body` throws the rest away
        if not self._advancing:
            self._resume()

    def abort(self) -> None:
        self._request = None
        self._phase = CLOSING
        if self._transport is not None:
            reset(self._transport)

    def give_way(self) -> None:
        """Close this idle connection, so that a new one gets its place."""
        context = self._context
        context.idle.discard(self)
        context.admission.disconnected(self._verdict)
        self._verdict = AdmissionVerdict.DROPPED  # its place isn't given back twice
        self.end()

    # Called by a shutdown (shutdown.py).

    @property
    def busy(self) -> bool:
        """Whether a request is being answered or has come in part, or a response is not fully sent."""
        if self._verdict is not AdmissionVerdict.ADMITTED or self._transport is None:
            return False
        under_way = self._phase is ANSWERING or not self._stream.body.ended
        return under_way or bool(self._stream.unread) or self.unsent_bytes() > 0

    @property
    def answering(self) -> bool:
        """Whether a request is under way."""
        return self._phase is ANSWERING

    @property
    def silent(self) -> bool:
        """Whether nothing was asked on it yet."""
        return self._phase is NEW

    @property
    def closing(self) -> bool:
        """Whether it has had its last response, and ends by itself."""
        return self._phase is CLOSING

    def descriptor(self) -> int | None:
        """Return the file descriptor of its socket; None once it is closed."""
        if self._transport is None or self._transport.is_closing():
            return None
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return descriptor

    def end(self) -> None:
        """Close it at once, whatever is under way; unsent bytes are lost."""
        self._phase = CLOSING
        if self._transport is not None:
            self._transport.abort()

    # Called by the above.

    def _resume(self) -> None:
        """Resume reading, and handle what has already been received."""
        self.resume_reading()
        self._advance()

    def _advance(self) -> None:
        """Go through what has come, as far as it is its turn.

        Each turn of the loop takes one step, until there is nothing left, or something has to be waited for:

        - A body that has not ended takes all that comes, whether its request is still open or not: a request
          that is finished early has its rest thrown away here, and only then a head can follow.
        - While a request is being answered, or the client does not read, nothing is begun. What waits is
          bounded by not reading: `finish` and `resume_writing` come back here. Below the bound reading goes
          on, because only by reading one learns that a client has left.
        - After some heads or many chunks at once the others' connections have their turn; nothing is read
          until then.
        - Otherwise it is a head's turn. Its handler may finish before it returns (`finish` sees by
          `_advancing` that this loop goes on), or much later.
        """
        self._advancing = True
        stream, heads = self._stream, 0
        while stream.unread and self._phase is not CLOSING:
            if not stream.body.ended:
                self._read_body()
                if stream.unread and not stream.body.ended:  # very many chunks
                    self._flow.yield_turn(self._advance)
                    break
            elif self._phase is ANSWERING or self.write_paused:
                if self.write_paused or len(stream.unread) > _MAX_PIPELINED_BYTES:
                    self.pause_reading()
                break
            elif heads == _MAX_HEADS_AT_ONCE:
                self._flow.yield_turn(self._advance)
                break
            elif not self._read_head():
                break
            heads += 1
        self._advancing = False

    def _read_head(self) -> bool:
        """Read the next head and start its request; False if it is incomplete."""
        stream = self._stream
        begins = stream.scanned_bytes == 0
        try:
            head = stream.next_head()
        except UnreadableError as error:
            self._refuse(
                Problem(400, f"invalid HTTP request: {proxy_protocol_problem(stream.unread) or error}")
            )
            return False
        if head is None:
            if stream.unread:
                self._context.idle.discard(self)
            if begins and stream.unread and self._phase is IDLE:
                # The time of a new connection began with it. Empty lines do not prolong it.
                self._deadline.set(self._context.loop.time() + self._context.limits.header_timeout_s)
            return False
        self._answer(head)
        return True

    def _answer(self, head: RequestHead) -> None:
        self._deadline.set(None)
        self._phase = ANSWERING
        self._keep = True
        self._context.idle.discard(self)
        request = self._request = self._context.handler(head, self)
        if request is None:
            return
        if self._stream.body.ended:
            request.body_ended()
        elif self._stream.unread:  # what is there already of its body goes with its head
            self._read_body()
        if self._request is request:  # else it was finished by what it was given
            request.start()

    def _read_body(self) -> None:
        stream = self._stream
        try:
            piece = stream.next_piece()
        except (UnreadableError, BodyTooLargeError) as error:
            self._give_up_body(error)
            return
        if self._request is None:
            self._discarded(len(piece))
        elif piece:
            self._request.body_received(piece)
        if not stream.body.ended:
            return
        if self._request is not None:
            self._request.body_ended()
        elif self._phase is IDLE:  # the rest of a body whose request was finished before
            self._become_idle(self._context.loop.time())

    def _give_up_body(self, error: UnreadableError | BodyTooLargeError) -> None:
        """Nobody knows where the body ends, so no request may follow, whatever the handler says."""
        self._keep = False
        if self._request is not None:
            if isinstance(error, BodyTooLargeError):
                self._request.body_too_large()
            else:
                self._request.body_failed(str(error))
        self._stream.give_up()
        if self._phase is IDLE:
            self._end_gracefully()

    def _become_idle(self, now_s: float) -> None:
        """The request was fully read and its response is complete: wait for the next request."""
        self._deadline.set(now_s + self._context.limits.idle_timeout_s)
        if self._context.limits.idle_give_way:
            self._context.idle.add(self)

    def _deadline_expired(self) -> None:
        """End the connection, or let the handler decide, after the deadline has passed."""
        if self._request is not None:
            self._request.on_deadline()
        elif self._stream.unread and self._stream.body.ended and self._phase is not CLOSING:
            limits = self._context.limits
            late = f"the head of the request took over {limits.header_timeout_s:g} s{limits.header_hint}"
            self._refuse(Problem(408, late))
        elif self._end.waits_for_reader(self.unsent_bytes(), self._context.loop.time()):
            return
        elif self._phase is NEW and self._context.draining:
            # A client may hold it to see when the server has ended (`tfleet drain` does): shutdown.py
            # closes it in its turn.
            self._deadline.set(self._context.loop.time() + self._context.limits.header_timeout_s)
        else:
            self.end()

    def _refuse(self, problem: Problem) -> None:
        """Answer a malformed or late head with `problem`, and end the connection."""
        self.send(self._context.errors.malformed(problem, path_of(self._stream.unread)))
        self._end_gracefully()

    def _end_gracefully(self) -> None:
        """Close after the last response. Closed at once, a client that is still sending would be reset and
        never see the response.
        """
        self._phase = CLOSING
        self._stream.give_up()
        if self._transport is not None:
            self.resume_reading()
            # Half-closed: the client sees where the response ends, and may still be sending its body.
            with contextlib.suppress(OSError):  # the client may have reset the connection just now
                self._transport.write_eof()
            now_s = self._context.loop.time()
            self._end.begin(self.unsent_bytes(), now_s)
            self._end.linger(now_s, draining=self._context.draining)

    def _discarded(self, count: int) -> None:
        """The client still sends what nobody needs any more."""
        if not self._end.discarded(count, self._context.loop.time()):
            self.end()
