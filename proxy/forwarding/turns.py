"""The time-outs of an exchange: whether the worker or the client is waited for, and until when.

Only one of these runs at a time:

- `--try-timeout`, for the worker: while it has all of the body that it can take, and the client takes the
  response.
- `--client-timeout`, for the client: while it still has to send a part of the body, or does not take the
  response.

In addition `--timeout` limits the whole request until its response begins.
"""

from __future__ import annotations

import asyncio
import math
from enum import Enum, auto

from tfleet.httpd.interfaces import Client
from tfleet.proxy.forwarding.attempt import Attempt
from tfleet.proxy.forwarding.replay_buffer import Upload
from tfleet.proxy.settings import RequestLimits


class Late(Enum):
    """Which side has exceeded its time."""

    NOBODY = auto()
    REQUEST = auto()
    """The whole request took too long."""
    WORKER = auto()
    SENDER = auto()
    """The client, in sending its body."""
    READER = auto()
    """The client, in taking the response."""


class Turns:
    """Tracks the time-outs of one exchange, with the single deadline of its client's connection."""

    __slots__ = (
        "_client",
        "_deadline_s",
        "_limits",
        "_loop",
        "_paused",
        "_since_s",
        "_unsent_bytes",
        "timeout_s",
    )

    def __init__(self, client: Client, limits: RequestLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.timeout_s = limits.timeout_s
        """For the whole request."""
        self._client = client
        self._limits = limits
        self._loop = loop
        self._deadline_s = math.inf
        self._paused = False
        """Whether reading the client's body is paused."""
        self._since_s = 0.0
        """Since when the client has been waited for."""
        self._unsent_bytes = 0
        """How much of the response the client had not taken by then."""

    @property
    def left_s(self) -> float:
        """The time left for the whole request."""
        return self._deadline_s - self._loop.time()

    def begin(self) -> None:
        """Start the time of the whole request."""
        self._deadline_s = self._loop.time() + self.timeout_s

    def response_begun(self) -> None:
        """From here on the response may take any time, as long as both sides make progress."""
        self._deadline_s = math.inf

    def changed(self, attempt: Attempt, upload: Upload) -> None:
        """Data was moved on one side, or a buffer filled or drained: decide which side is waited for now.

        Called for each piece in either direction.
        """
        client, now_s, ended = self._client, self._loop.time(), upload.ended
        # Back-pressure for the body: what the worker does not take is not read from the client. When the body
        # is complete there is nothing to hold back, and only reading tells that the client has left.
        if (attempt.full and not ended) is not self._paused:
            self._paused = not self._paused
            client.pause_reading() if self._paused else client.resume_reading()
        if (ended or attempt.full) and not client.write_paused:
            # The worker's: it has the whole body, or as much as it takes for now, so only it can go on. Each
            # piece that it takes or sends begins its time anew.
            attempt.waits(now_s)
            due_s = now_s + self._limits.try_timeout_s
        else:
            # The client's: more of the body has to come, or it does not take the response. The worker is not
            # blamed for that. What is unsent now tells later whether the client took any of it.
            attempt.waits(None)
            self._since_s = now_s
            self._unsent_bytes = client.unsent_bytes()
            due_s = now_s + self._limits.client_timeout_s
        client.wake_at(due_s if due_s < self._deadline_s else self._deadline_s)

    def late(self, attempt: Attempt | None, upload: Upload) -> Late:
        """Return which side is late now. If none is, the next check is scheduled."""
        now_s = self._loop.time()
        if now_s >= self._deadline_s:
            return Late.REQUEST
        if attempt is not None and attempt.worker_since_s is not None:
            due_s, who = attempt.worker_since_s + self._limits.try_timeout_s, Late.WORKER
            goes_on = attempt.has_taken_some
        else:
            # One that has the whole body to itself, or takes nothing, is a reader.
            reads = self._client.write_paused or upload.ended
            due_s, who = self._since_s + self._limits.client_timeout_s, Late.READER if reads else Late.SENDER
            goes_on = self._takes_some
        if now_s < due_s:
            self._client.wake_at(min(due_s, self._deadline_s))
            return Late.NOBODY
        if attempt is not None and goes_on():
            # Nothing announces that a part of what was sent has been taken: it is seen only now.
            self.changed(attempt, upload)
            return Late.NOBODY
        return who

    def let_go(self) -> None:
        """There is no attempt any more, so the client's body is read again."""
        if self._paused:
            self._paused = False
            self._client.resume_reading()

    def _takes_some(self) -> bool:
        return self._client.write_paused and self._client.unsent_bytes() < self._unsent_bytes
