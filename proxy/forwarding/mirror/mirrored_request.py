"""One mirrored request: the copy is sent to a worker of the canary, and its answer is compared.

It is sent once. Only if a kept connection turns out to have ended, it goes out again on a new one: else a
worker that ends because of a copy could not be told from one that had closed an idle connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tfleet.httpd.http1.response import ResponseHead
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.mirror_counts import MirrorResult
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.attempt import Attempt
from tfleet.proxy.forwarding.errors import AttemptFailedError, DeclinedError, StaleConnectionError
from tfleet.proxy.forwarding.failure_verdict import DECLINED, refusal, report_failure, suspicious_body
from tfleet.proxy.forwarding.heads import worker_head
from tfleet.proxy.forwarding.mirror.compare import MAX_COMPARED_BYTES, Comparison, compare
from tfleet.proxy.forwarding.mirror.copy import MirrorCopy, whole_answer
from tfleet.proxy.forwarding.worker_access import WorkerAccess

SUFFIX: Final = "-mirror"
"""Ends the id of a mirrored request, so that a worker's log tells it from the client's own."""

_MAX_ID_CHARS: Final = 128
_SERVER_ERROR: Final = 500

Ended = Callable[["MirroredRequest", Comparison], None]


class MirroredRequest:
    """`start` it once: `ended` is called with what came of it. `close` ends it without a call."""

    __slots__ = (
        "_access",
        "_answer",
        "_answer_bytes",
        "_attempt",
        "_deadline_s",
        "_ended",
        "_loop",
        "_on_new_connection",
        "_table",
        "_timer",
        "copy",
    )

    def __init__(
        self,
        copy: MirrorCopy,
        member: PoolMember,
        table: WorkerTable,
        access: WorkerAccess,
        ended: Ended,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.copy = copy
        self._table = table
        self._access = access
        self._ended = ended
        self._loop = loop
        self._answer: list[bytes] = []
        self._answer_bytes = 0
        self._deadline_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._on_new_connection = False
        self._attempt = self._attempt_at(member)

    def __repr__(self) -> str:
        return f"<MirroredRequest {self.copy!r} {self._attempt!r}>"

    def start(self, timeout_s: float) -> None:
        """Send it. It fails after `timeout_s`, however little is left to come."""
        self._deadline_s = self._loop.time() + timeout_s
        self._timer = self._loop.call_at(self._deadline_s, self._time_out)
        self._begin()

    def close(self) -> None:
        """End it: nobody waits for it."""
        if self._timer is not None:
            self._timer.cancel()
        self._table.attempt_ended(self._attempt.member.id, self._attempt)
        self._attempt.close()
        self.copy.release()

    # Callbacks of the attempt.

    def connected(self) -> bytes:
        origin = self.copy.origin
        return worker_head(
            self.copy.head,
            self.copy.head.target,
            addressee=self._attempt.member.addressee,
            peer=origin.peer,
            request_id=origin.request_id[: _MAX_ID_CHARS - len(SUFFIX)] + SUFFIX,
            left_ms=max(1, round((self._deadline_s - self._loop.time()) * 1000)),
            ticket=self._access.tickets.current(self._attempt.member.instance.model),
        )

    def head_came(self, head: ResponseHead) -> None:
        attempt = self._attempt
        if (length := head.queue_length) is not None:
            self._table.record_queue_length(attempt.member, length.decode("latin-1"))
        error = refusal(attempt.member, head, self._access.tickets)
        if error is None and head.status in DECLINED:
            error = DeclinedError(head.status)
        if error is not None:
            attempt.close()
            self.failed(error)

    def piece_came(self, head: ResponseHead, piece: bytes) -> None:
        # What is beyond the limit is read, and thrown away: to break off would cost the worker a connection.
        if self._answer_bytes <= MAX_COMPARED_BYTES:
            self._answer.append(piece)
        self._answer_bytes += len(piece)

    def ended(self, head: ResponseHead) -> None:
        self._table.record_response(self._attempt.member, head.status)
        if head.status >= _SERVER_ERROR:
            self._end(Comparison(MirrorResult.FAILED))
        elif self._answer_bytes > MAX_COMPARED_BYTES:
            self._end(Comparison(MirrorResult.SKIPPED))
        else:
            self._end(compare(self.copy.answer(), whole_answer(head, self._answer)))

    def failed(self, error: AttemptFailedError) -> None:
        member, table, copy = self._attempt.member, self._table, self.copy
        # First: a report may replace the pool, and must not find this attempt in flight any more.
        table.attempt_ended(member.id, self._attempt)
        if isinstance(error, StaleConnectionError) and not self._on_new_connection:
            self._on_new_connection = True
            self._attempt = self._attempt_at(member)
            self._begin()
            return
        body = suspicious_body(table, member, error, copy.head, copy.body)
        report_failure(table, member, error, body or copy.origin.request_id)
        # A worker that is busy, or not ready, has computed nothing.
        declined = isinstance(error, DeclinedError)
        self._end(Comparison(MirrorResult.SKIPPED if declined else MirrorResult.FAILED))

    def update_timeouts(self) -> None:
        """There is one deadline, whichever side is slow."""

    def _attempt_at(self, member: PoolMember) -> Attempt:
        body = self.copy.body
        return Attempt(member, self, body, list(body.kept), self._access.connections, self._loop)

    def _begin(self) -> None:
        attempt = self._attempt
        self._table.attempt_started(attempt.member.id, attempt)
        attempt.set_waiting_since(self._loop.time())
        attempt.start(new_connection=self._on_new_connection)

    def _time_out(self) -> None:
        self._attempt.time_out()

    def _end(self, comparison: Comparison) -> None:
        self.close()
        self._ended(self, comparison)
