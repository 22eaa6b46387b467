"""Forward mode: a request goes to a live worker and its answer comes back, both as they come.

The rules:

- A try that gave nothing is repeated with another worker as long as nothing has gone to the client, all that
  was read of the body is still there, the retry budget allows it and time is left. A classification may run
  twice: it changes nothing.
- A worker that refuses, breaks off, makes no progress or sends what is no answer is ejected by that one
  failed try, also in the middle of an answer; the client's connection then breaks off too. A kept connection
  that turns out to have ended says nothing about the worker.
- Neither body is ever held whole but for the replay memory. The slower side sets the pace in both directions.
- What a worker answers is the client's answer, whatever its status; 503 and 429 only if nobody else is there.
"""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from aiohttp import HttpVersion11, hdrs, web

from tfleet.discovery.contract import REQUEST_TIMEOUT_MS
from tfleet.discovery.number import whole_number
from tfleet.discovery.problem import Problem
from tfleet.proxy.attempt import (
    Attempt,
    BrokenAnswerError,
    DeclinedError,
    LateError,
    StaleConnectionError,
    TryFailedError,
    UnreachableError,
    attempt,
)
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.patience import Patience
from tfleet.proxy.pool import Member
from tfleet.proxy.problems import NO_WORKER, ProblemError, body_too_large
from tfleet.proxy.replay_memory import ReplayMemory
from tfleet.proxy.request_context import request_id_of
from tfleet.proxy.retry_budget import RetryBudget
from tfleet.proxy.upload import BodyTooLargeError, ClientGoneError, ClientLateError, Upload

_MOST_TRIES = 5
_MOST_STALE = 3
_NOT_READY = 503
_CONTINUE = "100-continue"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take, and what all of them may take together.

    `timeout_s` is for the whole request, `try_timeout_s` for a worker that makes no progress, and
    `client_timeout_s` for a client that makes none.
    """

    max_body_bytes: int
    timeout_s: float
    try_timeout_s: float
    client_timeout_s: float
    replay_bytes: int
    replay_total_bytes: int
    retry_share: float
    retry_floor_per_s: float


class Forwarder:
    """Handles `POST /` and `POST /predict` by passing them on."""

    def __init__(
        self, fleet: Fleet, session: aiohttp.ClientSession, limits: Limits, metrics: Metrics
    ) -> None:
        self._fleet = fleet
        self._session = session
        self._limits = limits
        self._metrics = metrics
        self._memory = ReplayMemory(limits.replay_bytes, limits.replay_total_bytes)
        self._budget = RetryBudget(limits.retry_share, limits.retry_floor_per_s, time.monotonic)
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<Forwarder {self._memory!r} {self._budget!r}>"

    def refusal(self, request: web.BaseRequest) -> Problem | None:
        """Why the request's head alone is enough to refuse it, if it is: its body is not even asked for."""
        expected = request.headers.get(hdrs.EXPECT, _CONTINUE)
        if request.version >= HttpVersion11 and expected.lower() != _CONTINUE:
            return Problem(417, f"Expect: {expected[:20]!r} is not met here, only {_CONTINUE}")
        if _asked_ms(request) == 0:
            asked = request.headers[REQUEST_TIMEOUT_MS]
            return Problem(400, f"{REQUEST_TIMEOUT_MS}: {asked[:20]!r} is no number of milliseconds")
        if (request.content_length or 0) > self._limits.max_body_bytes:
            return body_too_large(self._limits.max_body_bytes)
        if not self._fleet.has_other(()):
            return NO_WORKER
        return None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The worker's answer. Raises ProblemError with 400, 413, 417, 502, 503 or 504."""
        if refused := self.refusal(request):
            raise ProblemError(refused)
        asked_ms = _asked_ms(request)
        timeout_s = min(self._limits.timeout_s, asked_ms / 1000) if asked_ms else self._limits.timeout_s
        limits = self._limits
        upload = Upload(request.content, limits.max_body_bytes, self._memory, limits.client_timeout_s)
        self._budget.request()
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                return await self._try_workers(request, upload, deadline)
        except TimeoutError:
            raise ProblemError(Problem(504, f"no answer within {timeout_s:g} s; see --timeout")) from None
        finally:
            upload.forget()
            self._metrics.received_bytes.inc(upload.received_bytes)

    async def _try_workers(
        self, request: web.Request, upload: Upload, deadline: asyncio.Timeout
    ) -> web.StreamResponse:
        tried: set[str] = set()
        failures: list[str] = []
        stale, declined = 0, True
        while (member := self._fleet.pick(tried)) is not None:
            elsewhere = tried | {member.id}
            one = Attempt(
                request=request,
                upload=upload,
                member=member,
                retries=stale + len(failures),
                deadline=deadline,
                patience=Patience(self._limits.try_timeout_s),
                client_timeout_s=self._limits.client_timeout_s,
                may_retry=lambda: self._may_retry(upload, elsewhere, failures),  # noqa: B023 - used in this turn
                report=functools.partial(self._fleet.reported, member),
            )
            try:
                with self._fleet.using(member, one.patience):
                    response = await attempt(self._session, one, self._metrics)
            except TryFailedError as error:
                if upload.error is not None:
                    raise ProblemError(self._upload_problem(upload.error)) from error
                self._learn(member, error)
                if isinstance(error, StaleConnectionError) and stale < _MOST_STALE and upload.repeatable:
                    stale += 1  # nobody's failure: it costs nothing of the budget
                    continue
                failures.append(f"{member.id}: {error}")
                tried = elsewhere
                declined = declined and isinstance(error, DeclinedError)
                if not isinstance(error, DeclinedError) and not self._may_retry(upload, tried, failures):
                    break
            except BrokenAnswerError as error:
                self._broken(request, member, error)
                raise
            else:
                self._fleet.answered(member, response.status)
                return response
        if declined:
            raise ProblemError(NO_WORKER)
        raise ProblemError(Problem(502, f"no worker answered: {'; '.join(failures)}"))

    def _may_retry(self, upload: Upload, tried: set[str], failures: list[str]) -> bool:
        """Whether the request may go to one more worker; if so, it is counted against the budget."""
        if not upload.repeatable or len(failures) >= _MOST_TRIES or not self._fleet.has_other(tried):
            return False
        return self._budget.take()

    def _learn(self, member: Member, error: TryFailedError) -> None:
        self._metrics.failed_tries.labels(type(error).__name__.removesuffix("Error")).inc()
        if isinstance(error, UnreachableError):
            self._fleet.failed(member, str(error), late=isinstance(error, LateError))
        elif isinstance(error, DeclinedError) and error.status == _NOT_READY:
            self._fleet.declined(member, str(error))

    def _broken(self, request: web.Request, member: Member, error: BrokenAnswerError) -> None:
        """Tell whoever looks why the client has half an answer: the request can't be sent again."""
        self._metrics.broken_answers.inc()
        self._log.warning(
            "answer broken off", request_id=request_id_of(request), worker=member.id, error=str(error)
        )
        self._fleet.failed(member, str(error), late=isinstance(error.__cause__, TimeoutError))

    def _upload_problem(self, error: BodyTooLargeError | ClientGoneError | ClientLateError) -> Problem:
        if isinstance(error, BodyTooLargeError):
            return body_too_large(self._limits.max_body_bytes)
        if isinstance(error, ClientLateError):
            late_s = self._limits.client_timeout_s
            return Problem(408, f"nothing came of the body for {late_s:g} s: see --client-timeout")
        return Problem(400, "the body broke off before its end")


def _asked_ms(request: web.BaseRequest) -> int | None:
    """The caller's own deadline; None where it has none, 0 where it can't be read."""
    asked = request.headers.get(REQUEST_TIMEOUT_MS)
    return None if asked is None else whole_number(asked) or 0
