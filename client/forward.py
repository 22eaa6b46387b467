"""Forward mode: the image goes to the proxy, which finds a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tfleet.client.errors import FleetError, FleetUnavailableError, WorkerFailedError
from tfleet.client.transport import LostConnectionError

if TYPE_CHECKING:
    from tfleet.client.call import Call
    from tfleet.client.image import Image
    from tfleet.client.reply import Reply
    from tfleet.client.transport import Transport


class Forward:
    """Sends each image to one proxy. Retries are the proxy's: it knows the workers and has a budget for
    them.
    """

    def __init__(self, transport: Transport, proxy: str) -> None:
        self._transport = transport
        self._proxy = proxy

    async def send(self, image: Image, call: Call) -> Reply:
        """The proxy's answer, whatever its status. Raises FleetError where there is none."""
        headers = call.headers(asyncio.get_running_loop().time())
        try:
            return await self._transport.post(self._proxy + call.path, image, headers)
        except LostConnectionError as error:
            raise lost(self._proxy, error, request_id=call.request_id) from error

    async def close(self) -> None:
        """Nothing runs beside the calls."""


def lost(proxy: str, error: LostConnectionError, *, request_id: str | None = None) -> FleetError:
    """What a failed connection to the proxy means to the caller."""
    if error.begun:
        return WorkerFailedError(f"the answer of {proxy} was cut short: {error}", request_id=request_id)
    return FleetUnavailableError(f"cannot reach {proxy}: {error}", request_id=request_id)
