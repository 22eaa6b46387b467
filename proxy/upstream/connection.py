"""A connection to a worker: takes requests one after the other, and parses responses strictly.

- A response head is accepted only if it is complete and has exactly one valid reading
  (httpd/http1/response.py). Interim responses (1xx) are dropped.
- Of very many chunks some are read at once; then the other connections have their turn.
- Only bytes that belong to the body are passed on (httpd/http1/body.py). Bytes after it end the
  connection; they are never taken for the next response.
- A response that is delimited by the end of its connection is complete after FIN, and broken after RST.
- Data received before a RST is still read. A worker that responds before it has read the whole body, and
  then closes the connection, causes such a RST.
- Closing does not wait for unsent data: the worker gets a RST, and so knows that no more will come.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Final, Protocol, cast

from tfleet.httpd.http1.body import Body, Length, ToTheEnd, body_of
from tfleet.httpd.http1.fields import UnreadableError
from tfleet.httpd.http1.reset import reset
from tfleet.httpd.http1.response import ResponseHead, check_response, read_response_head
from tfleet.httpd.read_flow import ReadFlow

_END: Final = b"\r\n\r\n"
_MAX_INTERIM: Final = 16
_READ_BYTES: Final = 64 * 1024


class ResponseSink(Protocol):
    """Receives the response to a request: a head, pieces of the body, and its end or failure."""

    def head_came(self, head: ResponseHead) -> None:
        """The head of the response is there. The sink may drop the connection from here."""

    def piece_came(self, piece: bytes) -> None:
        """The next piece of the body, without its framing."""

    def response_ended(self, *, reusable: bool) -> None:
        """The response is complete. `reusable` is whether the connection can take another request, as far as
        the response says.
        """

    def broke_off(self, reason: str, *, silently: bool, took_all: bool) -> None:
        """The response ended early, or never began. `silently` is whether not a byte of it was received.
        `took_all` is whether the connection ended when nothing was left to send.
        """

    def full_now(self) -> None:
        """The worker takes nothing for now."""

    def drained(self) -> None:
        """The worker takes more again."""


class WorkerConnection(asyncio.Protocol):
    """One connection. `lost` is called when it has ended, perhaps twice."""

    def __init__(self, lost: Callable[[WorkerConnection], None]) -> None:
        self.idle_since_s = 0.0
        """Set and read by the connection pool only."""
        self._transport: asyncio.Transport | None = None
        self._report_lost = lost
        self._sink: ResponseSink | None = None
        self._flow = ReadFlow(asyncio.get_running_loop())
        self._received = b""
        """The part of a head received so far."""
        self._unread_chunks = b""
        """The part of the body for the next turn of the event loop."""
        self._silent = True
        self._keep_alive = False
        self._interim = 0
        self._body: Body | None = None
        self._bodiless = False

    def __repr__(self) -> str:
        return f"<WorkerConnection {'idle' if self._sink is None else 'busy'}>"

    @property
    def ended(self) -> bool:
        """Whether the connection cannot be used any more."""
        return self._transport is None

    def begin(self, sink: ResponseSink, beginning: bytes, *, bodiless: bool = False) -> None:
        """Send a request's head, or more of it. Only after the last response has ended.

        `bodiless` is that the response has no body whatever its head says, as for HEAD.
        """
        assert self._transport is not None
        self._sink = sink
        self._silent = True
        self._interim = 0
        self._body = None
        self._bodiless = bodiless
        self._transport.write(beginning)

    def send(self, piece: bytes) -> None:
        """Send a piece of the body, including its framing."""
        assert self._transport is not None
        self._transport.write(piece)

    def unsent_bytes(self) -> int:
        """Return how much of what was sent the worker has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Read no more of the response for now."""
        self._flow.pause()

    def resume_reading(self) -> None:
        """Read on."""
        self._flow.resume()

    def drop(self) -> None:
        """Close the connection. No more callbacks follow."""
        self._sink = None
        self._flow.detach()
        transport, self._transport = self._transport, None
        if transport is None:
            return
        self._report_lost(self)  # now: until connection_lost is called, the pool could hand it out again
        if transport.get_write_buffer_size():
            reset(transport)
        else:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._flow.attach(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._sink is None:
            self.drop()  # data without a request: whatever follows would be taken for the next response
            return
        try:
            if self._body is None:
                data = self._read_head(data)
            if self._body is not None:
                self._read_body(data)
        except UnreadableError as error:
            self._break_off(f"its answer can't be read: {error}")

    def eof_received(self) -> None:
        self._read_all_chunks()
        self._stream_ended(whole=True, took_all=not self.unsent_bytes())
        self.drop()  # the worker sends no more, so what is still unsent is of no use

    def connection_lost(self, exc: BaseException | None) -> None:
        self._report_lost(self)  # first: the data read below may end a response, and nothing may reuse this
        took_all = not self.unsent_bytes()
        self._read_all_chunks()
        if exc is not None:
            for data in self._unread():
                if self._sink is None:
                    break
                self.data_received(data)
                self._read_all_chunks()
        self._transport = None
        self._flow.detach()
        self._stream_ended(whole=exc is None, took_all=took_all)

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.full_now()

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.drained()

    def _read_head(self, data: bytes) -> bytes:
        """Parse the response head. Return what follows it in `data`; empty while it is incomplete."""
        self._silent = False
        seen = len(self._received)
        if seen:
            data = self._received + data
        # The end of a head may be split over two reads, so the search begins a little before the new data. To
        # begin at the start each time would take quadratic time.
        while (end := data.find(_END, max(0, seen - len(_END)))) >= 0:
            head = read_response_head(data[: end + 2])
            data = data[end + 4 :]
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise UnreadableError(f"it makes over {_MAX_INTERIM} interim answers")
            if head.final:
                self._received = b""
                self._body = Length(0) if self._bodiless else body_of(head.chunked, head.length_bytes)
                self._keep_alive = head.keep_alive
                assert self._sink is not None
                self._sink.head_came(head)
                return data
            seen = 0
        check_response(data, seen)
        self._received = data
        return b""

    def _read_body(self, data: bytes) -> None:
        sink, body = self._sink, self._body
        if sink is None or body is None:
            return  # the attempt was dropped
        taken = 0
        if data and not body.ended:
            piece, taken = body.feed(data)
            if piece:
                sink.piece_came(piece)
            # The sink may have dropped this connection while it took the piece.
            if self._sink is not sink:
                return
            if taken < len(data) and not body.ended:  # very many chunks
                self._unread_chunks = data[taken:]
                self._flow.yield_turn(self._read_more_chunks)
        if body.ended:
            # First: the callback puts this connection into the pool, ready for the next request.
            self._sink = None
            sink.response_ended(reusable=self._keep_alive and taken == len(data))

    def _read_more_chunks(self) -> None:
        data, self._unread_chunks = self._unread_chunks, b""
        if data and self._sink is not None:
            self.data_received(data)

    def _read_all_chunks(self) -> None:
        """Leave nothing for another turn: the connection ends."""
        while self._unread_chunks:
            self._read_more_chunks()

    def _stream_ended(self, *, whole: bool, took_all: bool) -> None:
        sink = self._sink
        if sink is None:
            return
        # Only a body that is delimited by the end of its connection is complete now; any other was cut off.
        if whole and isinstance(self._body, ToTheEnd):
            self._sink = None
            sink.response_ended(reusable=False)
        elif self._body is not None:
            self._break_off("it broke off in its answer", took_all=took_all)
        elif self._received:
            self._break_off("it broke off in the head of its answer", took_all=took_all)
        else:
            self._break_off("it ended the connection without an answer", took_all=took_all)

    def _break_off(self, reason: str, *, took_all: bool = False) -> None:
        sink = self._sink
        self.drop()
        if sink is not None:
            sink.broke_off(reason, silently=self._silent, took_all=took_all)

    def _unread(self) -> Iterator[bytes]:
        if self._transport is None or self._sink is None:
            return
        descriptor = self._transport.get_extra_info("socket").fileno()
        try:
            while data := os.read(descriptor, _READ_BYTES):
                yield data
        except OSError:
            return
