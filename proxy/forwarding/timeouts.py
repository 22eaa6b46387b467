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
from tfleet.proxy.forwarding.replay_buffer import RequestBody
from tfleet.proxy.settings import RequestLimits


class TimedOut(Enum):
    """What has timed out."""

    NOTHING = auto()
    REQUEST = auto()
    """The whole request took too long."""
    WORKER = auto()
    CLIENT_SENDING = auto()
    """The client, in sending its body."""
    CLIENT_READING = auto()
    """The client, in taking the response."""


class ExchangeTimeouts:
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
        """The time limit of the whole request."""
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

    def update(self, attempt: Attempt, body: RequestBody) -> None:
        """Decide which side is waited for now, and set the deadline.

        Called after each piece in either direction, and when a buffer fills or drains.
        """
        client, now_s, ended = self._client, self._loop.time(), body.ended
        # Back-pressure for the body: what the worker does not take is not read from the client. When the body
        # is complete there is nothing to hold back, and only reading tells that the client has left.
        if (attempt.full and not ended) is not self._paused:
            self._paused = not self._paused
            client.pause_reading() if self._paused else client.resume_reading()
        if (ended or attempt.full) and not client.write_paused:
            # The worker's: it has the whole body, or as much as it takes for now, so only it can go on. Each
            # piece that it takes or sends begins its time anew.
            attempt.set_waiting_since(now_s)
            due_s = now_s + self._limits.try_timeout_s
        else:
            # The client's: more of the body has to come, or it does not take the response. The worker is not
            # blamed for that. What is unsent now tells later whether the client took any of it.
            attempt.set_waiting_since(None)
            self._since_s = now_s
            self._unsent_bytes = client.unsent_bytes()
            due_s = now_s + self._limits.client_timeout_s
        client.wake_at(due_s if due_s < self._deadline_s else self._deadline_s)

    def expired(self, attempt: Attempt | None, body: RequestBody) -> TimedOut:
        """Return what has timed out by now. If nothing has, the next check is scheduled."""
        now_s = self._loop.time()
        if now_s >= self._deadline_s:
            return TimedOut.REQUEST
        if attempt is not None and attempt.worker_since_s is not None:
            due_s, late = attempt.worker_since_s + self._limits.try_timeout_s, TimedOut.WORKER
            makes_progress = attempt.has_taken_some
        else:
            # A client that has sent its whole body, or whose buffer is full, can only be late in reading.
            reads = self._client.write_paused or body.ended
            due_s, late = (
                self._since_s + self._limits.client_timeout_s,
                TimedOut.CLIENT_READING if reads else TimedOut.CLIENT_SENDING,
            )
            makes_progress = self._client_takes_some
        if now_s < due_s:
            self._client.wake_at(min(due_s, self._deadline_s))
            return TimedOut.NOTHING
        if attempt is not None and makes_progress():
            # Nothing announces that a part of what was sent has been taken: it is seen only now.
            self.update(attempt, body)
            return TimedOut.NOTHING
        return late

    def attempt_ended(self) -> None:
        """The attempt is over: read the client's body again."""
        if self._paused:
            self._paused = False
            self._client.resume_reading()

    def _client_takes_some(self) -> bool:
        return self._client.write_paused and self._client.unsent_bytes() < self._unsent_bytes
