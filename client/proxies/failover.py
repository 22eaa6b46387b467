"""Failover between proxies: send a request to one proxy after the other, until one answers.

The rules (rotation.py decides whose turn it is and which proxy is out):
- A proxy that refuses or resets the connection, makes no progress, or does not speak HTTP has failed: the
  next one is tried at once. That is safe because a prediction is idempotent and nothing of it has reached the
  caller. `before_repeat` sees to the models that keep state.
- A proxy that breaks off its answer may be healthy, because it also does so when a worker does. The next one
  is tried, but this one is not taken out.
- A proxy that answers 503 has no worker or too many clients. The others are tried; if they answer 503 as
  well, that is the answer.
- Any other answer is returned. Retries with other workers are left to the proxy, which has a budget for them.
- While another proxy could be tried, a proxy may be without progress for at most the try timeout, and for at
  most half of the caller's remaining time, but at least a second. The last one may use all of it.
- No proxy is tried twice for a request, except one that timed out, after all others have failed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tfleet.client.errors import (
    FleetError,
    FleetUnavailableError,
    TryLaterError,
    UnexpectedAnswerError,
    WorkerFailedError,
)
from tfleet.client.http import responses
from tfleet.client.http.transport import LostConnectionError
from tfleet.client.proxies.addresses import ProxiesInRegistry, ProxyAddresses
from tfleet.client.proxies.consul_resolver import ConsulResolver
from tfleet.client.proxies.rotation import Proxies
from tfleet.runtime.network_errors import speaks_no_tls

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport

Send = Callable[[str, float | None], Awaitable["HttpResponse"]]
"""Sends a request to the proxy with this base URL; the number is the most seconds without progress, or
None.
"""

BeforeRepeat = Callable[[str, Exception], Awaitable[None]]
"""Called before a request that the proxy with this base URL may have received is sent again. It may raise
FleetError. The exception says how the proxy failed.
"""

_UNAVAILABLE: Final = 503
_REST_S: Final = 1.0
"""The pause for a proxy that answered 503 without Retry-After."""
_MIN_TRY_TIMEOUT_S: Final = 1.0


@dataclass(slots=True)
class _Asked:
    """The proxies tried for one request, and their failures.

    `declined` is the last 503. `late` is a proxy that timed out and might answer if it had more time.
    `reached` is the last proxy that may have received the request, and how it failed.
    """

    deadline_s: float
    request_id: str | None
    failures: dict[str, FleetError] = field(default_factory=dict)
    declined: HttpResponse | None = None
    late: str | None = None
    reached: tuple[str, Exception] | None = None


class ProxyFailover:
    """Tries a client's proxies one after the other. It belongs to the event loop that first uses it."""

    def __init__(self, transport: Transport, where: ProxyAddresses, *, try_timeout_s: float) -> None:
        self.where = where
        self._try_timeout_s = try_timeout_s
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._proxies = Proxies(() if isinstance(where, ProxiesInRegistry) else where.urls)
        self._finder = (
            ConsulResolver(transport, where, self._found) if isinstance(where, ProxiesInRegistry) else None
        )
        self._turn = self._rng.randrange(1 << 16)

    def __repr__(self) -> str:
        return f"<ProxyFailover {self._proxies!r} of {self.where}>"

    def __str__(self) -> str:
        return str(self.where)

    async def ask(
        self,
        send: Send,
        *,
        deadline_s: float,
        request_id: str | None,
        before_repeat: BeforeRepeat | None = None,
    ) -> HttpResponse:
        """The answer of a proxy, with any status. Raises FleetError if none answers.

        `deadline_s` is when the caller gives up, on the loop's clock.
        """
        asked = _Asked(deadline_s, request_id)
        while (url := await self._next(asked.failures) or asked.late) is not None:
            if before_repeat is not None and asked.reached is not None:
                await before_repeat(*asked.reached)
            reply = await self._attempt(url, send, asked)
            if reply is not None:
                return reply
        if asked.declined is not None:
            return asked.declined
        raise _combined(list(asked.failures.values()), request_id)

    async def close(self) -> None:
        """End the background look-ups."""
        if self._finder is not None:
            await self._finder.close()

    async def _attempt(self, url: str, send: Send, asked: _Asked) -> HttpResponse | None:
        """The proxy's answer; None if another one should be tried."""
        began_s = _now_s()
        try_timeout_s = self._timeout_s(url, asked, began_s)
        # Its second and last try: without this it would be tried for ever.
        asked.late = None if asked.late == url else asked.late
        self._proxies = self._proxies.tried(url, began_s)
        try:
            reply = await send(url, try_timeout_s)
        except LostConnectionError as error:
            asked.failures[url] = lost_connection_error(url, error, request_id=asked.request_id)
            if may_have_reached(error):
                asked.reached = url, error
            if error.late:
                asked.late = url
            if not error.begun:  # an answer that was broken off says nothing against the proxy
                self._failed(url, began_s)
            return None
        except UnexpectedAnswerError as error:
            asked.failures[url], asked.reached = error, (url, error)
            self._failed(url, began_s)
            return None
        except asyncio.CancelledError:
            # Cancelled by the deadline the proxy is to blame; cancelled earlier, the caller changed its mind.
            if _now_s() >= asked.deadline_s:
                self._failed(url, began_s)
            raise
        if reply.status == _UNAVAILABLE:
            asked.declined, asked.failures[url] = reply, self._declined(url, reply)
            return None
        self._proxies = self._proxies.answered(url)
        return reply

    async def _next(self, asked: Collection[str]) -> str | None:
        """The proxy for the next try, without those `asked`; None if no other is left."""
        if self._finder is not None:
            self._finder.look_if_due()
        at = self._proxies.pick(self._turn, asked, _now_s())
        # Only here does a request wait for the registry: no known proxy is left.
        if at is None and self._finder is not None:
            error = await self._finder.look()
            at = self._proxies.pick(self._turn, asked, _now_s())
            if at is None and not asked:
                raise error
        if at is None:
            return None
        self._turn = at + 1
        return self._proxies.urls[at]

    def _timeout_s(self, url: str, asked: _Asked, now_s: float) -> float | None:
        """How long this proxy may be without progress; None without a limit."""
        if url == asked.late or not self._proxies.has_other({*asked.failures, url}, now_s):
            return None
        return min(self._try_timeout_s, max((asked.deadline_s - now_s) / 2, _MIN_TRY_TIMEOUT_S))

    def _failed(self, url: str, began_s: float) -> None:
        self._proxies = self._proxies.failed(url, began_s, _now_s(), self._rng)
        if self._finder is not None:
            self._finder.doubt()

    def _declined(self, url: str, reply: HttpResponse) -> FleetError:
        refusal = responses.failure(reply)
        assert isinstance(refusal, TryLaterError)
        rest_s = _REST_S if refusal.retry_after_s is None else refusal.retry_after_s
        self._proxies = self._proxies.resting(url, rest_s, _now_s())
        return refusal

    def _found(self, urls: tuple[str, ...]) -> None:
        self._proxies = self._proxies.found(urls)


def may_have_reached(error: Exception) -> bool:
    """Whether a request that failed like this may have been received."""
    # Whatever garbled an answer, somebody gave it.
    return error.sent if isinstance(error, LostConnectionError) else True


def lost_connection_error(
    proxy: str, error: LostConnectionError, *, request_id: str | None = None
) -> FleetError:
    """The caller's error for a failed connection to a proxy."""
    if error.begun:
        return WorkerFailedError(f"the answer of {proxy} was cut short: {error}", request_id=request_id)
    if speaks_no_tls(error):
        http = proxy.replace("https://", "http://", 1)
        return UnexpectedAnswerError(f"{proxy} speaks http, not https: use {http}", request_id=request_id)
    return FleetUnavailableError(f"cannot reach {proxy}: {error}", request_id=request_id)


def _combined(failures: Sequence[FleetError], request_id: str | None) -> FleetError:
    """The caller's error if every proxy failed: an answer says more than a lost connection."""
    answered = [error for error in failures if not isinstance(error, FleetUnavailableError)]
    if answered or len(failures) == 1:
        return (answered or failures)[-1]
    return FleetUnavailableError("; ".join(map(str, failures)), request_id=request_id)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
