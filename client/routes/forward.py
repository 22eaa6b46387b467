"""Forward mode: the image goes to a proxy, which finds a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.images.image import Image
    from tfleet.client.proxies.failover import ProxyFailover
    from tfleet.client.routes.call import Call


class Forward:
    """Sends each image to a proxy. The proxy retries with other workers: it knows them and has a retry
    budget.
    """

    def __init__(self, transport: Transport, proxies: ProxyFailover) -> None:
        self._transport = transport
        self._proxies = proxies

    async def send(self, image: Image, call: Call) -> HttpResponse:
        """A proxy's answer, with any status. Raises FleetError if there is none."""
        now_s = asyncio.get_running_loop().time

        async def send(url: str, patience_s: float | None) -> HttpResponse:
            headers = call.headers(now_s())
            return await self._transport.post(url + call.path, image, headers, try_timeout_s=patience_s)

        return await self._proxies.ask(send, deadline_s=call.deadline, request_id=call.request_id)

    async def close(self) -> None:
        """Nothing to do: there are no background tasks."""
