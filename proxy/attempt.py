"""One try: the request goes to one worker, and its answer to the client.

Until the head of an answer has come that is worth passing on, nothing has gone to the client, and whoever
asked for the try may ask for another one. After that the answer is streamed to its end or broken off hard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from aiohttp import web
from yarl import URL

from tfleet.discovery.contract import REQUEST_ID, REQUEST_TIMEOUT_MS, RETRIES, WORKER
from tfleet.proxy.headers import request_headers, response_headers
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.patience import Patience
from tfleet.proxy.pool import Member
from tfleet.proxy.request_context import request_id_of
from tfleet.proxy.upload import Upload

_CONNECT_TIMEOUT_S: Final = 1.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
_SEND_ELSEWHERE: Final = frozenset({429, 503})


class TryFailedError(Exception):
    """The worker gave nothing that could be passed on. The message is the reason, in a few words."""


class UnreachableError(TryFailedError):
    """It refused, broke off, or did not answer in time."""


class StaleConnectionError(TryFailedError):
    """A connection kept from an earlier request had ended; the worker may be in the best of health."""


class DeclinedError(TryFailedError):
    """It answered that somebody else should do it: 503 or 429."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answers {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a try needs to know. `deadline` is that of the request, for the head of an answer."""

    request: web.Request
    upload: Upload
    member: Member
    retries: int
    deadline: asyncio.Timeout
    patience: Patience
    may_retry: Callable[[], bool]


def make_session(keep_alive_s: float) -> aiohttp.ClientSession:
    """The connections to workers, kept for `keep_alive_s` without use."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_remember_reuse)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=keep_alive_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers={"Accept", "Accept-Encoding", "User-Agent", "Content-Type"},
        trace_configs=[trace],
    )


async def _remember_reuse(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
    connection = context.trace_request_ctx
    if connection is not None:  # a probe has none
        connection["reused"] = True


async def attempt(session: aiohttp.ClientSession, one: Attempt, metrics: Metrics) -> web.StreamResponse:
    """Send the request to the worker and stream its answer.

    Raises a TryFailedError while nothing has gone to the client, ConnectionResetError once something has.
    """
    response = web.StreamResponse()
    connection = {"reused": False}
    try:
        async with one.patience, _sent(session, one, connection) as answer:
            if answer.status in _SEND_ELSEWHERE and one.may_retry():
                raise DeclinedError(answer.status)
            one.upload.forget()
            one.deadline.reschedule(None)
            await _pass_on(answer, response, one, metrics)
            return response
    except (aiohttp.ClientError, TimeoutError) as error:
        reason = _reason(error)
        if response.prepared:
            break_off(one.request)
            raise ConnectionResetError(f"the worker broke off in its answer: {reason}") from error
        if connection["reused"] and isinstance(
            error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
        ):
            raise StaleConnectionError(reason) from error
        raise UnreachableError(reason) from error


def _sent(session: aiohttp.ClientSession, one: Attempt, connection: dict[str, bool]) -> Any:
    request = one.request
    headers = request_headers(
        request.headers, peer=request.remote, scheme=request.scheme, request_id=request_id_of(request)
    )
    left_s = (one.deadline.when() or 0) - asyncio.get_running_loop().time()
    headers[REQUEST_TIMEOUT_MS] = str(max(1, round(left_s * 1000)))
    return session.request(
        request.method,
        # Not raw_path: that may be a whole URL (RFC 9112 section 3.2.2).
        URL(one.member.instance.address.url + request.rel_url.raw_path_qs, encoded=True),
        headers=headers,
        data=one.upload.pieces(one.patience) if request.body_exists else None,
        allow_redirects=False,
        timeout=_TIMEOUT,
        trace_request_ctx=connection,
    )


async def _pass_on(
    answer: aiohttp.ClientResponse,
    response: web.StreamResponse,
    one: Attempt,
    metrics: Metrics,
) -> None:
    response.set_status(answer.status, answer.reason)
    response.headers.update(response_headers(answer.headers))
    response.headers.setdefault(WORKER, one.member.id)
    response.headers[REQUEST_ID] = request_id_of(one.request)
    response.headers[RETRIES] = str(one.retries)
    one.patience.client_turn()
    await response.prepare(one.request)
    one.patience.worker_turn()
    async for piece in answer.content.iter_any():
        metrics.sent_bytes.inc(len(piece))
        one.patience.client_turn()
        await response.write(piece)
        one.patience.worker_turn()
    one.patience.client_turn()
    await response.write_eof()


def break_off(request: web.BaseRequest) -> None:
    """End the client's connection hard: half an answer must not look like a whole one."""
    if request.transport is not None:
        request.transport.abort()


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientError):
        return str(error) or type(error).__name__
    return "makes no progress"
