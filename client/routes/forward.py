"""Forward mode: the request goes to a proxy, which finds a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tfleet.client.errors import UnexpectedAnswerError, WorkerFailedError
from tfleet.client.http.transport import LostConnectionError
from tfleet.client.proxies.failover import may_have_reached
from tfleet.client.routes.named_model import DEFAULT_MODEL, NamedModel
from tfleet.client.routes.state_lookup import StateLookup

if TYPE_CHECKING:
    from tfleet.client.body import SentBody
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.proxies.failover import ProxyFailover
    from tfleet.client.routes.call import Call


class Forward:
    """Sends each request to a proxy. The proxy retries with other workers: it knows them and has a retry
    budget. What may have reached a worker is sent again only if no model of the fleet keeps state.
    """

    def __init__(
        self, transport: Transport, proxies: ProxyFailover, model: NamedModel = DEFAULT_MODEL
    ) -> None:
        self._transport = transport
        self._proxies = proxies
        self._state = StateLookup(transport, proxies, model)

    async def send(self, body: SentBody, call: Call) -> HttpResponse:
        """A proxy's answer, with any status. Raises FleetError if there is none."""
        now_s = asyncio.get_running_loop().time

        async def post(url: str, patience_s: float | None) -> HttpResponse:
            headers = call.headers(now_s())
            try:
                return await self._transport.post(
                    url + call.path, body, headers, try_timeout_s=patience_s, idempotent=bool(call.idempotent)
                )
            except (LostConnectionError, UnexpectedAnswerError) as error:
                if call.idempotent is False and may_have_reached(error):
                    raise not_repeated(url, error, call) from error
                raise

        async def send(url: str, patience_s: float | None) -> HttpResponse:
            try:
                return await post(url, patience_s)
            except LostConnectionError as error:
                if not error.is_stale or call.idempotent is not None:
                    raise
                await check(url, error)
            return await post(url, patience_s)

        async def check(url: str, error: Exception) -> None:
            """Raise FleetError unless the request may be sent again after this error."""
            if call.idempotent is None and await self._state.stateful(call.request_id):
                raise not_repeated(url, error, call) from error

        return await self._proxies.ask(
            send, deadline_s=call.deadline, request_id=call.request_id, before_repeat=check
        )

    async def close(self) -> None:
        """End the background tasks."""
        await self._state.close()


def not_repeated(where: str, error: Exception, call: Call) -> WorkerFailedError:
    """The error of a call that may have reached a worker, and must not reach another one."""
    return WorkerFailedError(
        f"{where}: {error}; the request may have been answered, so it was not sent again",
        request_id=call.request_id,
    )
