"""One try: the request goes to one worker, and its answer to the client.

Until an answer has come that is worth passing on, its head and the first piece of its body, nothing has gone
to the client, and whoever asked for the try may ask for another one. After that the answer is streamed to its
end or broken off hard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from aiohttp import web
from yarl import URL

from tfleet.discovery.contract import QUEUE_LENGTH, REQUEST_ID, REQUEST_TIMEOUT_MS, RETRIES, WORKER
from tfleet.proxy.headers import request_headers, response_headers
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.patience import Patience
from tfleet.proxy.pool import Member
from tfleet.proxy.request_context import request_id_of
from tfleet.proxy.reset import reset
from tfleet.proxy.upload import Upload
from tfleet.proxy.worker_connection import WorkerConnector

# Time for two lost SYNs, which are sent again after 1 and 3 s, and for a proxy that is late itself because
# its machine is busy: with 1 s it ejected workers that were well. One that is silent is probed long before.
_CONNECT_TIMEOUT_S: Final = 5.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
_SEND_ELSEWHERE: Final = frozenset({429, 503})


class TryFailedError(Exception):
    """The worker gave nothing that could be passed on. The message is the reason, in a few words."""


class UnreachableError(TryFailedError):
    """It refused, broke off, or did not answer in time."""


class LateError(UnreachableError):
    """It did not answer in time, or take the request; that may be because it has too much to do."""


class StaleConnectionError(TryFailedError):
    """A connection kept from an earlier request had ended; the worker may be in the best of health."""


class BrokenAnswerError(ConnectionResetError):
    """The worker failed in the middle of its answer, and the client's connection has ended with it."""


class DeclinedError(TryFailedError):
    """It answered that somebody else should do it: 503 or 429."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answers {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a try needs to know. `deadline` is that of the request, for the head of an answer.

    `report` is told what that head says of the worker's queue.
    """

    request: web.Request
    upload: Upload
    member: Member
    retries: int
    deadline: asyncio.Timeout
    patience: Patience
    client_timeout_s: float
    may_retry: Callable[[], bool]
    report: Callable[[str | None], None]


def make_session(keep_alive_s: float) -> aiohttp.ClientSession:
    """The connections to workers, kept for `keep_alive_s` without use."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_remember_reuse)
    return aiohttp.ClientSession(
        connector=WorkerConnector(keep_alive_s),
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

    Raises a TryFailedError while nothing has gone to the client, BrokenAnswerError once something has, and
    ConnectionError if it is the client that is gone.
    """
    response = web.StreamResponse()
    connection = {"reused": False}
    try:
        async with one.patience, _sent(session, one, connection) as answer:
            one.report(answer.headers.get(QUEUE_LENGTH))
            if answer.status in _SEND_ELSEWHERE and one.may_retry():
                raise DeclinedError(answer.status)
            await _pass_on(answer, response, one, metrics)
            return response
    except (aiohttp.ClientError, TimeoutError, UnicodeError) as error:  # UnicodeError: a name that is none
        reason = _reason(error)
        if response.prepared:
            if isinstance(error, ConnectionResetError):
                raise  # out of `response`: aiohttp has one error for both sides
            break_off(one.request)
            raise BrokenAnswerError(reason) from error
        if connection["reused"] and isinstance(error, aiohttp.ClientConnectionError):
            raise StaleConnectionError(reason) from error
        late = isinstance(error, TimeoutError)
        raise (LateError if late else UnreachableError)(reason) from error


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
    """Give the client the answer, head and all, from the first piece of its body on."""
    piece = await answer.content.readany()
    one.upload.forget()
    one.deadline.reschedule(None)
    response.set_status(answer.status, answer.reason)
    response.headers.extend(response_headers(answer.headers))
    response.headers.setdefault(WORKER, one.member.id)
    response.headers[REQUEST_ID] = request_id_of(one.request)
    response.headers[RETRIES] = str(one.retries)
    one.patience.client_turn()
    await response.prepare(one.request)
    while piece:
        metrics.sent_bytes.inc(len(piece))
        await _taken(response.write(piece), one)
        one.patience.worker_turn()
        piece = await answer.content.readany()
        one.patience.client_turn()
    await _taken(response.write_eof(), one)


async def _taken(write: Coroutine[Any, Any, None], one: Attempt) -> None:
    """Write to the client. Raises ConnectionResetError if it takes nothing for too long."""
    try:
        async with asyncio.timeout(one.client_timeout_s):
            await write
    except TimeoutError:
        break_off(one.request)
        raise ConnectionResetError("the client does not take its answer") from None


def break_off(request: web.BaseRequest) -> None:
    """End the client's connection hard: half an answer must not look like a whole one.

    Where the answer has no length, only a reset says so.
    """
    if request.transport is not None:
        reset(request.transport)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        fault, _, _ = error.message.partition(":")  # behind it is what aiohttp's parser could not read
        return f"its answer can't be read: {fault}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "it broke off in its answer"
    if isinstance(error, aiohttp.ClientError | UnicodeError):
        return str(error) or type(error).__name__
    return "makes no progress"
