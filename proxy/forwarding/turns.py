"""Whose turn it is in an exchange, the worker's or the client's, and until when.

Two time-outs run against each other, and only one of them at a time:

- `--try-timeout` for the worker, while it has all that there is to give it and the client takes the response;
- `--client-timeout` for the client, while it still owes a part of the body, or does not take the response.

Over both stands `--timeout`, for the request until its response begins.
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
    """Who has kept the other one waiting for too long."""

    NOBODY = auto()
    REQUEST = auto()
    """All of it took longer than it may."""
    WORKER = auto()
    SENDER = auto()
    """The client, with its body."""
    READER = auto()
    """The client, with taking the response."""


class Turns:
    """Keeps the time of one exchange, with the one deadline that its client's connection has."""

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
        """Whether the client has to wait with its body."""
        self._since_s = 0.0
        """Since when it has been the client's turn."""
        self._unsent_bytes = 0
        """What the client had not taken of the response by then."""

    @property
    def left_s(self) -> float:
        """How long the whole request may still take."""
        return self._deadline_s - self._loop.time()

    def begin(self) -> None:
        """The request is on its way."""
        self._deadline_s = self._loop.time() + self.timeout_s

    def response_begun(self) -> None:
        """From here on it may take as long as it likes, as long as each side makes progress."""
        self._deadline_s = math.inf

    def changed(self, attempt: Attempt, upload: Upload) -> None:
        """Something has come or gone on one of the two sides: see whose turn it is now, and give it its time.

        Called for each piece in either direction, and whenever one side becomes full or takes more again.
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
        """Who is late now. Where it is nobody, the next look is arranged."""
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
        """There is no try any more, so nothing holds the client back."""
        if self._paused:
            self._paused = False
            self._client.resume_reading()

    def _takes_some(self) -> bool:
        return self._client.write_paused and self._client.unsent_bytes() < self._unsent_bytes
