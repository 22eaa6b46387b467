"""One request in forward mode: its attempts at workers, one after the other, and its response.

An exchange gets callbacks from two sides: the client's connection (httpd/connection.py) and the current
attempt (attempt.py). Nothing in it blocks; a deadline now and then finds which side is late (timeouts.py).
"""

from __future__ import annotations

import time
from typing import Final

from tfleet.contract.names import REQUEST_TIMEOUT_MS, whole_number
from tfleet.contract.problem import Problem, ProblemError
from tfleet.contract.request_id import request_id
from tfleet.discovery.instance import Instance
from tfleet.httpd.half_closed import may_wait
from tfleet.httpd.http1.expect import unmet_expectation
from tfleet.httpd.http1.local_response import CONTINUE
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.http1.response import ResponseHead
from tfleet.httpd.interfaces import Client
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.model_router import MirrorTurn
from tfleet.proxy.forwarding.attempt import Attempt
from tfleet.proxy.forwarding.client_response import ClientResponse
from tfleet.proxy.forwarding.context import ForwardingContext
from tfleet.proxy.forwarding.errors import (
    AttemptFailedError,
    DeclinedError,
)
from tfleet.proxy.forwarding.failure_verdict import (
    DECLINED,
    refusal,
    report_failure,
    report_silence,
    suspicious_body,
)
from tfleet.proxy.forwarding.heads import worker_head
from tfleet.proxy.forwarding.mirror.copy import MirrorCopy, Origin, is_prediction
from tfleet.proxy.forwarding.poison_bodies import REMEMBERED_S, short_digest
from tfleet.proxy.forwarding.replay_buffer import RequestBody
from tfleet.proxy.forwarding.retries import RetryState
from tfleet.proxy.forwarding.timeouts import ExchangeTimeouts, TimedOut
from tfleet.proxy.model_target import read_model_target, target_for
from tfleet.proxy.problems import body_too_large
from tfleet.proxy.telemetry.access_log import BROKEN_RESPONSE, CLIENT_CLOSED

_HEAD: Final = b"HEAD"


class Exchange:
    """One request and its response. `start` it once; it ends with `client.finish` or `client.abort`."""

    __slots__ = (
        "_asked",
        "_attempt",
        "_began_s",
        "_body",
        "_client",
        "_context",
        "_copy",
        "_head",
        "_mirror_turn",
        "_path",
        "_request_id",
        "_response",
        "_retries",
        "_timeouts",
        "_unsent",
    )

    def __init__(self, head: RequestHead, client: Client, context: ForwardingContext) -> None:
        self._head = head
        self._client = client
        self._context = context
        self._began_s = time.perf_counter()
        self._request_id = request_id(head.request_id)
        self._response = ClientResponse(head, self._request_id, client, context.cors)
        self._body = RequestBody(context.retrying.memory, chunked=head.chunked)
        self._timeouts = ExchangeTimeouts(client, context.limits, context.loop)
        self._unsent: list[bytes] = []
        """The body received before the first attempt."""
        self._attempt: Attempt | None = None
        self._asked: Instance | None = None
        """The worker of the last attempt."""
        self._retries = RetryState(context.table, context.retrying.budget)
        self._path = read_model_target(head.method, head.target)
        self._mirror_turn: MirrorTurn | None = None
        self._copy: MirrorCopy | None = None

    def __repr__(self) -> str:
        return f"<Exchange {self._request_id} {self._body!r} {self._attempt!r}>"

    def start(self) -> None:
        """Start the first attempt, or reject the request by its head, before its body is read."""
        head, context = self._head, self._context
        if refused := self._problem_in_head() or self._route():
            self._respond_with(refused)
            return
        # Only now: a client that waits for 100 does not send the body of a request that is rejected anyway.
        if head.expect is not None:
            self._client.send(CONTINUE)
        if (asked_ms := head.timeout_ms) is not None:
            self._timeouts.timeout_s = min(self._timeouts.timeout_s, (whole_number(asked_ms) or 0) / 1000)
        self._timeouts.begin()
        # Rejected requests do not count: they would enlarge the budget without loading any worker.
        context.retrying.budget.request()
        self._next_attempt()

    # Callbacks of the client's connection.

    def body_received(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        body, attempt = self._body, self._attempt
        body.add(piece)
        if body.received_bytes > self._context.limits.max_body_bytes:
            self.body_too_large()
        # An exchange gets what was already received of the body before `start`.
        elif attempt is None:
            self._unsent.append(piece)
        else:
            attempt.send(piece)
            self.update_timeouts()

    def body_ended(self) -> None:
        """The body is complete."""
        self._body.ended = True
        if self._attempt is not None:
            self._attempt.end_body()
            self.update_timeouts()

    def body_failed(self, reason: str) -> None:
        """The body cannot be read any further, which is not the worker's fault."""
        self._stop(Problem(400, f"the body can't be read: {reason}"))

    def body_too_large(self) -> None:
        """A chunk of the body announces more than the limit."""
        self._stop(body_too_large(self._context.limits.max_body_bytes))

    def client_disconnected(self) -> None:
        """The client's connection has ended."""
        self._abandon()
        self._drop_copy()
        self._log_end(CLIENT_CLOSED)

    def sending_ended(self) -> bool:
        """The client may have left, or wait."""
        return may_wait(self._head, self._client, response_begun=self._response.begun)

    def pause_writing(self) -> None:
        """The client takes nothing of the response for now."""
        if self._attempt is not None:
            self._attempt.pause_reading()
            self.update_timeouts()

    def resume_writing(self) -> None:
        """The client takes more again."""
        if self._attempt is not None:
            self._attempt.resume_reading()
            self.update_timeouts()

    def on_deadline(self) -> None:
        """The deadline has passed: end the attempt or the client, whichever is late."""
        attempt = self._attempt
        match self._timeouts.expired(attempt, self._body):
            case TimedOut.REQUEST:
                if attempt is not None and attempt.worker_since_s is not None:
                    silent_s = self._context.loop.time() - attempt.worker_since_s
                    chosen = self._timeouts.timeout_s < self._context.limits.timeout_s
                    report_silence(self._context.table, attempt.member, self._head, silent_s, chosen=chosen)
                self._stop(Problem(504, f"no answer within {self._timeouts.timeout_s:g} s; see --timeout"))
            case TimedOut.WORKER:
                assert attempt is not None
                attempt.time_out()  # calls `failed`, which may start another attempt
            case TimedOut.CLIENT_SENDING:
                late_s = self._context.limits.client_timeout_s
                self._stop(Problem(408, f"nothing came of the body for {late_s:g} s: see --client-timeout"))
            # It has part of the response, so it can get no problem document.
            case TimedOut.CLIENT_READING:
                self._abandon()
                self._break_off(CLIENT_CLOSED)

    # Callbacks of the attempt.

    def connected(self) -> bytes:
        attempt = self._attempt
        assert attempt is not None
        instance = attempt.member.instance
        return worker_head(
            self._head,
            target_for(self._path, self._head.target, instance.version),
            addressee=attempt.member.addressee,
            peer=self._client.peer,
            request_id=self._request_id,
            # A worker rejects 0.
            left_ms=max(1, round(self._timeouts.left_s * 1000)),
            ticket=self._context.access.tickets.current(instance.model),
        )

    def head_came(self, head: ResponseHead) -> None:
        attempt = self._attempt
        assert attempt is not None
        member = attempt.member
        if (length := head.queue_length) is not None:
            self._context.table.record_queue_length(member, length.decode("latin-1"))
        error = refusal(member, head, self._context.access.tickets)
        # If no other worker is left, the client gets this 503 or 429, with its Retry-After.
        if error is None and head.status in DECLINED and self._may_decline(member):
            error = DeclinedError(head.status)
        if error is not None:
            attempt.close()
            self.failed(error)

    def piece_came(self, head: ResponseHead, piece: bytes) -> None:
        response = self._response
        if not response.begun:
            self._begin_response(head)
        if self._copy is not None:
            self._copy.add(piece)
        self._context.telemetry.metrics.stats.sent_bytes += len(piece)
        response.send(piece)
        self.update_timeouts()

    def ended(self, head: ResponseHead) -> None:
        attempt = self._attempt
        assert attempt is not None
        response = self._response
        if not response.begun:
            self._begin_response(head)
        response.end()
        # Not with the head: a worker that breaks off in its responses must not pass for a healthy one.
        self._context.table.record_response(attempt.member, head.status)
        self._log_end(head.status)
        response.finish()
        # Only now: the client has its answer.
        if self._copy is not None:
            self._context.mirror.send(self._copy)

    def failed(self, error: AttemptFailedError) -> None:
        attempt, context = self._attempt, self._context
        assert attempt is not None
        member, table = attempt.member, context.table
        # First: a report may replace the pool, and must not find this attempt in flight any more.
        self._let_go()
        # The client has part of the response: it cannot be taken back, so breaking off is the only honest
        # end.
        if self._response.begun:
            context.telemetry.log.broken_off(request_id=self._request_id, worker=member.id, error=str(error))
            report_failure(table, member, error, self._request_id)
            self._break_off(BROKEN_RESPONSE)
            return
        context.telemetry.metrics.failed_tries.labels(type(error).__name__.removesuffix("Error")).inc()
        # Before the report, because that may change the worker's state.
        body_key = suspicious_body(table, member, error, self._head, self._body)
        report_failure(table, member, error, body_key or self._request_id)
        known = body_key in context.retrying.poison
        # A stateful model may have changed with the request already, so a second run would be one too many.
        runs_once = member.instance.stateful and not error.ran_nothing
        repeatable = self._body.repeatable and not runs_once
        if self._retries.failed(member, error, repeatable=repeatable, suspect=bool(body_key), known=known):
            self._next_attempt()
            return
        # Equal bodies of later requests get one attempt only.
        if self._retries.body_suspected:
            context.retrying.poison.add(body_key)
            context.telemetry.log.poisoned(
                self._request_id, short_digest(body_key), self._retries.failures, remembered_s=REMEMBERED_S
            )
        self._respond_with(self._retries.problem)

    def update_timeouts(self) -> None:
        if self._attempt is not None:
            self._timeouts.update(self._attempt, self._body)

    def _problem_in_head(self) -> Problem | None:
        head, limits = self._head, self._context.limits
        if (unmet := unmet_expectation(head)) is not None:
            return unmet
        if (timeout_ms := head.timeout_ms) is not None and not whole_number(timeout_ms):
            return Problem(
                400, f"{REQUEST_TIMEOUT_MS}: {timeout_ms[:20]!r} is not a number of milliseconds above 0"
            )
        if head.length_bytes > limits.max_body_bytes:
            return body_too_large(limits.max_body_bytes)
        return None

    def _route(self) -> Problem | None:
        """Find the workers that may answer; return why there are none."""
        wanted = self._path.wanted
        try:
            route = self._context.router.route(wanted, self._head)
        except ProblemError as error:
            return error.problem
        self._retries = RetryState(route.candidates, self._context.retrying.budget)
        # In the usual fleet, of one version, there is no order and nothing to ask.
        if route.order and is_prediction(self._head):
            self._mirror_turn = self._context.router.mirror_turn(wanted, route)
        return None

    def _may_decline(self, member: PoolMember) -> bool:
        return self._retries.may_decline(member, repeatable=self._body.repeatable)

    def _next_attempt(self) -> None:
        member = self._retries.next()
        if member is None:
            self._respond_with(self._retries.problem)
            return
        context = self._context
        unsent, self._unsent = self._unsent, []
        # The first attempt sends what came before it; a later one sends the kept body from its beginning.
        waiting = list(self._body.kept) if self._body.repeatable else unsent
        self._asked = member.instance
        self._attempt = Attempt(member, self, self._body, waiting, context.access.connections, context.loop)
        context.table.attempt_started(member.id, self._attempt)
        # An attempt that failed may have left the client with a full buffer.
        if self._client.write_paused:
            self._attempt.pause_reading()
        bodiless = self._head.method == _HEAD
        self._attempt.start(new_connection=self._retries.needs_new_connection, bodiless=bodiless)
        self.update_timeouts()

    def _begin_response(self, head: ResponseHead) -> None:
        """From here on the request cannot be retried."""
        attempt = self._attempt
        assert attempt is not None
        self._response.begin(head, worker_id=attempt.member.id, retries=self._retries.retries)
        self._timeouts.response_begun()
        if self._mirror_turn is not None:
            self._begin_copy(head, attempt.member, self._mirror_turn)
        # There can be no retry any more, so the memory is for other requests.
        self._body.forget()

    def _begin_copy(self, head: ResponseHead, member: PoolMember, turn: MirrorTurn) -> None:
        origin = Origin(self._request_id, self._client.peer, self._timeouts.timeout_s)
        copy = self._context.mirror.copy(self._head, origin, turn)
        if copy.begin(head, member, self._body):
            self._copy = copy

    def _respond_with(self, problem: Problem) -> None:
        """Answer with a problem document. Nothing of a response was sent yet."""
        self._response.send_problem(problem, body_ended=self._body.ended)
        self._log_end(problem.status)
        self._response.finish()

    def _stop(self, problem: Problem) -> None:
        """End the current attempt: there will be no response, or not the rest of it."""
        self._abandon()
        # The status line is sent: a problem document would become a part of the image's response.
        if self._response.begun:
            self._break_off(CLIENT_CLOSED)
        else:
            self._respond_with(problem)

    def _abandon(self) -> None:
        """End an attempt that nothing waits for any more; its worker may have been silent for too long."""
        if self._attempt is not None:
            self._context.table.attempt_abandoned(self._attempt.member.id, self._attempt)
        self._let_go()

    def _let_go(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._context.table.attempt_ended(attempt.member.id, attempt)
            attempt.close()
        self._timeouts.attempt_ended()

    def _drop_copy(self) -> None:
        """The client has no answer, or not all of it."""
        copy, self._copy = self._copy, None
        if copy is not None:
            copy.release()

    def _break_off(self, status: int) -> None:
        self._drop_copy()
        self._log_end(status)
        self._client.abort()

    def _log_end(self, status: int) -> None:
        # Every way to the end passes here, so no attempt stays in flight and no body in memory.
        self._let_go()
        self._body.forget()
        metrics = self._context.telemetry.metrics
        metrics.stats.received_bytes += self._body.received_bytes
        seconds = time.perf_counter() - self._began_s
        if self._asked is not None:
            metrics.versions.ended(self._asked, status, seconds)
        path = self._head.path
        self._context.telemetry.log.answered(
            request_id=self._request_id,
            method=self._head.method.decode("ascii"),
            path=path,
            route=self._path.route or path,
            status=status,
            seconds=seconds,
            worker=self._response.worker,
        )
