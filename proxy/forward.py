"""Forward mode: a request goes to a live worker and its answer comes back, both as they come.

The rules:

- A worker is left for another one while nothing of the body has been read: then nothing has been lost.
- A worker that can't be reached, or breaks off, is reported to the fleet at once.
- Neither body is ever held whole. The slower side sets the pace in both directions.
- What the worker answers is the client's answer, whatever its status.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

from tfleet.discovery.contract import REQUEST_ID, WORKER
from tfleet.discovery.problem import Problem
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.headers import request_headers, response_headers
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.pool import Member
from tfleet.proxy.problems import NO_WORKER, ProblemError, body_too_large
from tfleet.proxy.request_context import request_id_of
from tfleet.proxy.upload import BodyTooLargeError, ClientGoneError, Upload

_CONNECT_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take: bytes of its body, seconds until its answer is complete."""

    max_body_bytes: int
    timeout_s: float


class Forwarder:
    """Handles `POST /` and `POST /predict` by passing them on."""

    def __init__(
        self, fleet: Fleet, session: aiohttp.ClientSession, limits: Limits, metrics: Metrics
    ) -> None:
        self._fleet = fleet
        self._session = session
        self._limits = limits
        self._metrics = metrics
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)

    def refusal(self, request: web.BaseRequest) -> Problem | None:
        """Why the request's head alone is enough to refuse it, if it is."""
        if (request.content_length or 0) > self._limits.max_body_bytes:
            return body_too_large(self._limits.max_body_bytes)
        return None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The worker's answer. Raises ProblemError with 413, 502, 503 or 504."""
        if refused := self.refusal(request):
            raise ProblemError(refused)
        upload = Upload(request.content, self._limits.max_body_bytes)
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await self._try_workers(request, upload)
        except TimeoutError:
            detail = f"no answer within {self._limits.timeout_s:g} s, the proxy's --timeout"
            raise ProblemError(Problem(504, detail)) from None
        finally:
            self._metrics.received_bytes.inc(upload.received_bytes)

    async def _try_workers(self, request: web.Request, upload: Upload) -> web.StreamResponse:
        tried: dict[str, str] = {}
        while (member := self._fleet.pick(tried)) is not None:
            response = web.StreamResponse()
            try:
                with self._fleet.using(member):
                    return await self._try(request, upload, member, response)
            except aiohttp.ClientError as error:
                if upload.error:
                    raise ProblemError(self._upload_problem(upload.error)) from error
                if response.prepared:
                    _break_off(request)
                    raise ConnectionResetError("the worker broke off in the middle of its answer") from error
                tried[member.id] = _reason(error)
                self._metrics.failed_tries.inc()
                self._fleet.failed(member, tried[member.id])
                if upload.started:
                    break
        if not tried:
            raise ProblemError(NO_WORKER)
        failures = "; ".join(f"{worker}: {reason}" for worker, reason in tried.items())
        raise ProblemError(Problem(502, f"no worker answered: {failures}"))

    def _upload_problem(self, error: BodyTooLargeError | ClientGoneError) -> Problem:
        if isinstance(error, BodyTooLargeError):
            return body_too_large(self._limits.max_body_bytes)
        return Problem(400, "the body broke off before its end")

    async def _try(
        self, request: web.Request, upload: Upload, member: Member, response: web.StreamResponse
    ) -> web.StreamResponse:
        async with self._session.request(
            request.method,
            URL(member.instance.address.url + request.raw_path, encoded=True),
            headers=request_headers(
                request.headers,
                peer=request.remote,
                scheme=request.scheme,
                request_id=request_id_of(request),
            ),
            data=upload.pieces() if request.body_exists else None,
            allow_redirects=False,
            timeout=self._timeout,
        ) as answer:
            response.set_status(answer.status, answer.reason)
            response.headers.update(response_headers(answer.headers))
            response.headers.setdefault(WORKER, member.id)
            response.headers[REQUEST_ID] = request_id_of(request)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                self._metrics.sent_bytes.inc(len(piece))
                await response.write(piece)
            await response.write_eof()
            return response


def _break_off(request: web.BaseRequest) -> None:
    """End the client's connection hard: half an answer must not look like a whole one."""
    if request.transport is not None:
        request.transport.abort()


def _reason(error: aiohttp.ClientError) -> str:
    return str(error) or type(error).__name__
