"""The way into the fleet: whichever proxy answers.

The rules (whose turn it is, and who is out, is in proxies.py):
- A proxy that refuses, resets, lets nothing move for too long or does not speak HTTP has failed: the next one
  is asked at once. A classification is idempotent and nothing of it has reached the caller.
- One that breaks off its answer may be well: it does so where a worker did. The next one is asked, and it is
  not out for that.
- One that says 503 has no worker, or too many clients, and others may be better off: they are asked.
  Where they say so, too, it is the answer.
- Any other answer is the answer: retries with other workers are the proxy's, which has a budget for them.
- As long as somebody else could be asked, a proxy may let nothing move for the try time-out at most, and for
  no more than half of what the caller has left, if that is over a second. The last one may take all of it.
- No proxy is asked twice for one request, but for one that was only late where all the others failed.
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
from tfleet.client.http import decode as answer
from tfleet.client.http.transport import LostConnectionError
from tfleet.client.proxies.addresses import ProxiesInRegistry, Whereabouts
from tfleet.client.proxies.consul_resolver import ConsulResolver
from tfleet.client.proxies.health import Proxies
from tfleet.runtime.network_errors import speaks_no_tls

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport

Send = Callable[[str, float | None], Awaitable["HttpResponse"]]
"""Sends a request to the proxy with this base URL, which may let nothing move for so many seconds."""

_UNAVAILABLE: Final = 503
_REST_S: Final = 1.0
"""How long a proxy that did not say for how long it can serve nobody is left alone."""
_LEAST_PATIENCE_S: Final = 1.0


@dataclass(slots=True)
class _Asked:
    """Who has been asked for one request, and what came of it.

    `declined` is the last answer of 503. `late` is who has not had all the time that it might have needed.
    """

    deadline_s: float
    request_id: str | None
    failures: dict[str, FleetError] = field(default_factory=dict)
    declined: HttpResponse | None = None
    late: str | None = None


class ProxyFailover:
    """Asks one proxy of a client's after the other. Belongs to the event loop that first uses it."""

    def __init__(self, transport: Transport, where: Whereabouts, *, try_timeout_s: float) -> None:
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

    async def ask(self, send: Send, *, deadline_s: float, request_id: str | None) -> HttpResponse:
        """The answer of a proxy, whatever its status. Raises FleetError where there is none.

        `deadline_s` is when the caller gives up, on the loop's clock.
        """
        asked = _Asked(deadline_s, request_id)
        while (url := await self._next(asked.failures) or asked.late) is not None:
            reply = await self._try(url, send, asked)
            if reply is not None:
                return reply
        if asked.declined is not None:
            return asked.declined
        raise _told(list(asked.failures.values()), request_id)

    async def close(self) -> None:
        """End what runs beside the requests."""
        if self._finder is not None:
            await self._finder.close()

    async def _try(self, url: str, send: Send, asked: _Asked) -> HttpResponse | None:
        """The proxy's answer, None where another one is to be asked."""
        began_s = _now_s()
        patience_s = self._patience_s(url, asked, began_s)
        asked.late = None if asked.late == url else asked.late
        self._proxies = self._proxies.tried(url, began_s)
        try:
            reply = await send(url, patience_s)
        except LostConnectionError as error:
            asked.failures[url] = lost(url, error, request_id=asked.request_id)
            if error.late:
                asked.late = url
            if not error.begun:
                self._failed(url, began_s)
            return None
        except UnexpectedAnswerError as error:
            asked.failures[url] = error
            self._failed(url, began_s)
            return None
        except asyncio.CancelledError:
            if _now_s() >= asked.deadline_s:  # and it has said nothing
                self._failed(url, began_s)
            raise
        if reply.status == _UNAVAILABLE:
            asked.declined, asked.failures[url] = reply, self._declined(url, reply)
            return None
        self._proxies = self._proxies.answered(url)
        return reply

    async def _next(self, asked: Collection[str]) -> str | None:
        """The proxy for the next try, none of those `asked`; None where nobody else is left."""
        if self._finder is not None:
            self._finder.look_if_due()
        at = self._proxies.pick(self._turn, asked, _now_s())
        if at is None and self._finder is not None:
            error = await self._finder.look()
            at = self._proxies.pick(self._turn, asked, _now_s())
            if at is None and not asked:
                raise error
        if at is None:
            return None
        self._turn = at + 1
        return self._proxies.urls[at]

    def _patience_s(self, url: str, asked: _Asked, now_s: float) -> float | None:
        """How long this proxy may let nothing move; None for as long as it likes."""
        if url == asked.late or not self._proxies.has_other({*asked.failures, url}, now_s):
            return None
        return min(self._try_timeout_s, max((asked.deadline_s - now_s) / 2, _LEAST_PATIENCE_S))

    def _failed(self, url: str, began_s: float) -> None:
        self._proxies = self._proxies.failed(url, began_s, _now_s(), self._rng)
        if self._finder is not None:
            self._finder.doubt()

    def _declined(self, url: str, reply: HttpResponse) -> FleetError:
        refusal = answer.failure(reply)
        assert isinstance(refusal, TryLaterError)
        rest_s = _REST_S if refusal.retry_after_s is None else refusal.retry_after_s
        self._proxies = self._proxies.resting(url, rest_s, _now_s())
        return refusal

    def _found(self, urls: tuple[str, ...]) -> None:
        self._proxies = self._proxies.found(urls)


def lost(proxy: str, error: LostConnectionError, *, request_id: str | None = None) -> FleetError:
    """What a failed connection to a proxy means to the caller."""
    if error.begun:
        return WorkerFailedError(f"the answer of {proxy} was cut short: {error}", request_id=request_id)
    if speaks_no_tls(error):
        http = proxy.replace("https://", "http://", 1)
        return UnexpectedAnswerError(f"{proxy} speaks http, not https: say {http}", request_id=request_id)
    return FleetUnavailableError(f"cannot reach {proxy}: {error}", request_id=request_id)


def _told(failures: Sequence[FleetError], request_id: str | None) -> FleetError:
    """What the caller is told where each proxy failed: the failures of those that answered say more."""
    answered = [error for error in failures if not isinstance(error, FleetUnavailableError)]
    if answered or len(failures) == 1:
        return (answered or failures)[-1]
    return FleetUnavailableError("; ".join(map(str, failures)), request_id=request_id)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
