"""Connections to workers: aiohttp's, made strict.

- A head goes to aiohttp's parser when it is complete and can be read in one way only (see answer_head.py).
  Interim answers (1xx) end here.
- Of a body goes there what belongs to it (see answer_body.py). What comes behind it, at once or later, ends
  the connection; it is never taken for the next answer.
- An answer that ends with its connection is complete after a FIN and broken after a reset.
- What had come before a reset is read: a worker that answers early and closes resets the connection by that.
- Closing doesn't wait until the worker has taken what was not sent yet: it is told that no more will come.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Iterator
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from tfleet.proxy.answer_body import Body, Length, body_of
from tfleet.proxy.answer_head import UnreadableError, check_beginning, read_head
from tfleet.proxy.reset import reset

_END: Final = b"\r\n\r\n"
_READ_BYTES: Final = 64 * 1024


class BadAnswerError(aiohttp.ClientError):
    """What the worker sent is no whole answer. The message says why, in a few words."""


class WorkerConnection(ResponseHandler):
    """One connection to a worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head: bytearray | None = None
        """What has come of the head that is waited for; None while none is."""
        self._body: Body = Length(0)
        self._lost = False

    def set_response_params(self, **params: Any) -> None:
        """Called by aiohttp when a request is about to be sent."""
        self._head = bytearray()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp goes on with what its parser holds
            super().data_received(data)
            return
        try:
            if self._head is not None:
                data = self._after_head(self._head, data)
            if data:
                self._read_body(data)
        except UnreadableError as error:
            self._break_off(f"its answer can't be read: {error}")
            self._drop()

    def eof_received(self) -> None:
        super().eof_received()
        self._drop()  # there won't be an answer to what is not sent yet

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Called by aiohttp where it can't go on, also with a body on a connection that has ended."""
        ending = self.transport is not None and self.transport.is_closing() and not self._lost
        if ending and isinstance(exc, aiohttp.ClientConnectionError):
            return  # connection_lost will say so, when it has read what is left
        if exc_cause is None:
            super().set_exception(exc)
        else:
            super().set_exception(exc, exc_cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._lost = True
        if exc is not None:
            for data in self._unread():
                self.data_received(data)
        if self._head:
            self._break_off("it broke off in the head of its answer")
        elif exc is not None and self._head is None:
            self._break_off("it broke off in its answer")
        super().connection_lost(exc)

    def close(self) -> None:
        if self.transport is not None and self.transport.get_write_buffer_size():
            reset(self.transport)
        self.abort()

    def _after_head(self, received: bytearray, data: bytes) -> bytes:
        """What of `data` comes behind the head that is waited for."""
        seen = len(received)
        received += data
        while (end := received.find(_END, max(0, seen - len(_END) + 1))) >= 0:
            head = read_head(bytes(received[: end + 2]))
            if head.final:
                self._head = None
                self._body = body_of(head)
                super().data_received(bytes(received[: end + 4]))
                return bytes(received[end + 4 :])
            del received[: end + 4]
            seen = 0
        check_beginning(received, seen)
        return b""

    def _read_body(self, data: bytes) -> None:
        taken = 0 if self._body.ended else self._body.feed(data)
        if taken:
            super().data_received(data[:taken])
        if taken < len(data):
            self._drop()

    def _drop(self) -> None:
        """End the connection; it is not used again."""
        self.force_close()
        if self.transport is not None:
            self.transport.abort()

    def _break_off(self, reason: str) -> None:
        """Let whoever waits for a head or for more of a body know that it won't come."""
        if self._head is not None:
            self._head = None
            self.set_exception(BadAnswerError(reason))
        elif self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(BadAnswerError(reason))

    def _unread(self) -> Iterator[bytes]:
        if self.transport is None:
            return
        descriptor = self.transport.get_extra_info("socket").fileno()
        try:
            while data := os.read(descriptor, _READ_BYTES):
                yield data
        except OSError:
            return


class WorkerConnector(aiohttp.TCPConnector):
    """Keeps connections to workers for `keep_alive_s` without use; there may be any number of them."""

    def __init__(self, keep_alive_s: float) -> None:
        super().__init__(limit=0, keepalive_timeout=keep_alive_s)
        self._factory = functools.partial(WorkerConnection, loop=self._loop)  # type: ignore[assignment] # is one
