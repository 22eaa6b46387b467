"""A connection to a worker: it takes requests one after the other and reads their answers strictly.

- A head counts when it is complete and can be read in one way only (see answer_head.py). Interim answers
  (1xx) end here.
- Of a body comes through what belongs to it (see body.py). What comes behind it, at once or later, ends the
  connection; it is never taken for the next answer.
- An answer that ends with its connection is complete after a FIN and broken after a reset.
- What had come before a reset is read: a worker that answers early and closes resets the connection by that.
- Ending it doesn't wait until the worker has taken what was not sent yet: it is told that no more will come.
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

_END: Final = b"\r\n\r\n"
_MOST_INTERIM: Final = 16
_READ_BYTES: Final = 64 * 1024


class ResponseSink(Protocol):
    """Who has sent a request, and is told what becomes of it: a head, pieces, and an end or not."""

    def head_came(self, head: ResponseHead) -> None: ...

    def piece_came(self, piece: bytes) -> None: ...

    def answer_ended(self, *, reusable: bool) -> None:
        """`reusable` is whether the connection may take another request, as far as the answer says."""

    def broke_off(self, reason: str, *, silently: bool, took_all: bool) -> None:
        """There won't be more. `silently` is that the connection ended before a byte of an answer came, and
        `took_all` that it ended, and nothing of what was to be sent was left.
        """

    def full_now(self) -> None:
        """The worker takes nothing at the moment."""

    def drained(self) -> None:
        """It takes more again."""


class WorkerConnection(asyncio.Protocol):
    """One connection. `lost` is called when it has ended, perhaps twice."""

    def __init__(self, lost: Callable[[WorkerConnection], None]) -> None:
        self.idle_since_s = 0.0
        """For whoever keeps it."""
        self._transport: asyncio.Transport | None = None
        self._report_lost = lost
        self._listener: ResponseSink | None = None
        self._received = b""
        """What has come of the head that is waited for."""
        self._silent = True
        self._keep_alive = False
        self._interim = 0
        self._body: Body | None = None
        self._bodiless = False

    def __repr__(self) -> str:
        return f"<WorkerConnection {'idle' if self._listener is None else 'busy'}>"

    @property
    def ended(self) -> bool:
        """Whether it can't be used any more."""
        return self._transport is None

    def begin(self, listener: ResponseSink, beginning: bytes, *, bodiless: bool = False) -> None:
        """Send a request's head, or more of it. Only after the last answer has ended.

        `bodiless` is that the answer has no body whatever its head says, as for HEAD.
        """
        assert self._transport is not None
        self._listener = listener
        self._silent = True
        self._interim = 0
        self._body = None
        self._bodiless = bodiless
        self._transport.write(beginning)

    def send(self, piece: bytes) -> None:
        """Send some of its body, framing and all."""
        assert self._transport is not None
        self._transport.write(piece)

    def unsent_bytes(self) -> int:
        """What was sent and not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Let the worker wait with its answer."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def drop(self) -> None:
        """End it. Nobody is told anything any more."""
        self._listener = None
        transport, self._transport = self._transport, None
        if transport is None:
            return
        self._report_lost(self)  # now: by the time that the loop says so, somebody might have taken it
        if transport.get_write_buffer_size():
            reset(transport)
        else:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._listener is None:
            self.drop()  # nobody has asked for this
            return
        try:
            if self._body is None:
                data = self._read_head(data)
            if self._body is not None:
                self._read_body(data)
        except UnreadableError as error:
            self._break_off(f"its answer can't be read: {error}")

    def eof_received(self) -> None:
        self._stream_ended(whole=True, took_all=not self.unsent_bytes())
        self.drop()  # there won't be an answer to what is not sent yet

    def connection_lost(self, exc: BaseException | None) -> None:
        self._report_lost(self)  # first: what is read below may end an answer, and it is not for another one
        took_all = not self.unsent_bytes()
        if exc is not None:
            for data in self._unread():
                if self._listener is None:
                    break
                self.data_received(data)
        self._transport = None
        self._stream_ended(whole=exc is None, took_all=took_all)

    def pause_writing(self) -> None:
        if self._listener is not None:
            self._listener.full_now()

    def resume_writing(self) -> None:
        if self._listener is not None:
            self._listener.drained()

    def _read_head(self, data: bytes) -> bytes:
        """What of `data` comes behind the head that is waited for."""
        self._silent = False
        seen = len(self._received)
        if seen:
            data = self._received + data
        while (end := data.find(_END, max(0, seen - len(_END)))) >= 0:
            head = read_response_head(data[: end + 2])
            data = data[end + 4 :]
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise UnreadableError(f"it makes over {_MOST_INTERIM} interim answers")
            if head.final:
                self._received = b""
                self._body = Length(0) if self._bodiless else body_of(head.chunked, head.length_bytes)
                self._keep_alive = head.keep_alive
                assert self._listener is not None
                self._listener.head_came(head)
                return data
            seen = 0
        check_response(data, seen)
        self._received = data
        return b""

    def _read_body(self, data: bytes) -> None:
        listener, body = self._listener, self._body
        if listener is None or body is None:
            return  # who listened has heard enough
        taken = 0
        if data and not body.ended:
            piece, taken = body.feed(data)
            if piece:
                listener.piece_came(piece)
            if self._listener is not listener:
                return
        if body.ended:
            self._listener = None
            listener.answer_ended(reusable=self._keep_alive and taken == len(data))

    def _stream_ended(self, *, whole: bool, took_all: bool) -> None:
        listener = self._listener
        if listener is None:
            return
        if whole and isinstance(self._body, ToTheEnd):
            self._listener = None
            listener.answer_ended(reusable=False)
        elif self._body is not None:
            self._break_off("it broke off in its answer", took_all=took_all)
        elif self._received:
            self._break_off("it broke off in the head of its answer", took_all=took_all)
        else:
            self._break_off("it ended the connection without an answer", took_all=took_all)

    def _break_off(self, reason: str, *, took_all: bool = False) -> None:
        listener = self._listener
        self.drop()
        if listener is not None:
            listener.broke_off(reason, silently=self._silent, took_all=took_all)

    def _unread(self) -> Iterator[bytes]:
        if self._transport is None or self._listener is None:
            return
        descriptor = self._transport.get_extra_info("socket").fileno()
        try:
            while data := os.read(descriptor, _READ_BYTES):
                yield data
        except OSError:
            return
