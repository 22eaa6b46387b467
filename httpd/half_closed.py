"""A client that has closed its sending side: does it wait for its answers, or has it left?

The system reports both in the same way. Programs such as `nc -N` close their sending side behind their last
request and wait; a client that gives up closes both sides. Only a client that has left answers further bytes
with a reset. So it is sent an interim response (100 Continue), which a client of HTTP/1.1 has to be able to
ignore (RFC 9110 section 15.2), and while its request is under way its socket is looked at now and then.
"""

from __future__ import annotations

import asyncio
import select
from typing import Final, Protocol

from tfleet.httpd.http1.local_response import CONTINUE
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client, OpenRequest

_FIRST_LOOK_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.5


def may_wait(head: RequestHead, client: Client, *, response_begun: bool) -> bool:
    """Whether a client that sends no more may still wait for its response: an OpenRequest's `sending_ended`.

    A client of HTTP/1.0 can't be asked, and counts as gone, unless it has part of its response.
    """
    if response_begun:
        return True
    if not head.http_1_0:
        client.send(CONTINUE)
    return not head.http_1_0


class HalfClosable(Protocol):
    """A connection whose client may close its sending side."""

    @property
    def answering(self) -> bool:
        """Whether a request is under way."""

    def descriptor(self) -> int | None:
        """Return the file descriptor of its socket; None once it is closed."""

    def pause_reading(self) -> None:
        """Stop reading."""

    def end(self) -> None:
        """Close it at once."""


class HalfClosed:
    """What is known of the client's side of one connection."""

    __slots__ = ("_asked", "_connection", "_looks", "_loop", "_pause_s")

    def __init__(self, connection: HalfClosable, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._asked = self._looks = False
        self._pause_s = _FIRST_LOOK_S

    def keeps(self, request: OpenRequest) -> bool:
        """Whether the connection stays open, now that the client sends no more, for its `request`.

        Called again whenever reading is resumed, as for the next request that had come before.
        """
        if not self._asked and not request.sending_ended():
            return False
        self._asked = True
        self._connection.pause_reading()
        if not self._looks:
            self._looks = True
            self._loop.call_later(self._pause_s, self._look)
        return True

    def _look(self) -> None:
        self._looks = False
        descriptor = self._connection.descriptor()
        # Behind the last response the own end is closed, too, which looks like a client that has left.
        if descriptor is None or not self._connection.answering:
            return
        if _was_reset(descriptor):
            self._connection.end()
        else:
            self._looks = True
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._loop.call_later(self._pause_s, self._look)


def _was_reset(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are always reported
    return bool(poll.poll(0))
