"""Forward mode: the request goes to a proxy, which finds a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tfleet.client.errors import UnexpectedAnswerError, WorkerFailedError
from tfleet.client.http.transport import LostConnectionError

if TYPE_CHECKING:
    from tfleet.client.body import SentBody
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.proxies.failover import ProxyFailover
    from tfleet.client.routes.call import Call


class Forward:
    """Sends each request to a proxy. The proxy retries with other workers: it knows them and has a retry
    budget.
    """

    def __init__(self, transport: Transport, proxies: ProxyFailover) -> None:
        self._transport = transport
        self._proxies = proxies

    async def send(self, body: SentBody, call: Call) -> HttpResponse:
        """A proxy's answer, with any status. Raises FleetError if there is none."""
        now_s = asyncio.get_running_loop().time

        async def send(url: str, patience_s: float | None) -> HttpResponse:
            headers = call.headers(now_s())
            try:
                return await self._transport.post(
                    url + call.path, body, headers, try_timeout_s=patience_s, idempotent=call.idempotent
                )
            except LostConnectionError as error:
                if error.sent and not call.idempotent:
                    raise not_repeated(url, error, call) from error
                raise
            except UnexpectedAnswerError as error:
                # Whatever garbled or cut the answer, a worker may have given it.
                if not call.idempotent:
                    raise not_repeated(url, error, call) from error
                raise

        return await self._proxies.ask(send, deadline_s=call.deadline, request_id=call.request_id)

    async def close(self) -> None:
        """Nothing to do: there are no background tasks."""


def not_repeated(where: str, error: Exception, call: Call) -> WorkerFailedError:
    """The error of a call that may have reached a worker, and must not reach another one."""
    return WorkerFailedError(
        f"{where}: {error}; the request may have been answered, so it was not sent again",
        request_id=call.request_id,
    )
