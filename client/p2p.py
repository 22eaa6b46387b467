"""p2p mode: the proxy only says which worker to talk to, and the image goes there without passing it.

The rules:
- Each call looks up a worker, so that the proxy's choice spreads the load.
- A worker that refuses, resets, breaks off its answer or says 503 (it drains) is done with for this call:
  another is looked up. A classification is idempotent and nothing of it has reached the caller, so it may be
  sent again.
- At most MAX_SENDS workers get the image and at most MAX_LOOKUPS lookups are made: the proxy may go on
  naming a worker that is gone until it notices.
- Any other answer is the answer: a 429 is passed on, because sending the image around would load a busy
  fleet more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tfleet.client import lookup
from tfleet.client.errors import FleetUnavailableError
from tfleet.client.forward import lost
from tfleet.client.transport import LostConnectionError

if TYPE_CHECKING:
    from tfleet.client.call import Call
    from tfleet.client.image import Image
    from tfleet.client.lookup import FoundWorker
    from tfleet.client.reply import Reply
    from tfleet.client.transport import Transport
    from tfleet.discovery.address import Address

MAX_SENDS: Final = 3
MAX_LOOKUPS: Final = 12
_UNAVAILABLE: Final = 503


class PeerToPeer:
    """Sends each image straight to the worker that the proxy names."""

    def __init__(self, transport: Transport, proxy: str) -> None:
        self._transport = transport
        self._proxy = proxy

    async def send(self, image: Image, call: Call) -> Reply:
        """A worker's answer, whatever its status. Raises FleetError where there is none."""
        failed: dict[Address, str] = {}
        reply: Reply | None = None
        for _ in range(MAX_LOOKUPS):
            worker = await self._look_up(call)
            if worker.address in failed:
                continue
            try:
                reply = await self._transport.post(worker.address.url + call.path, image, _headers(call))
            except LostConnectionError as error:
                failed[worker.address] = str(error)
            else:
                if reply.status != _UNAVAILABLE:
                    return reply
                failed[worker.address] = "it takes no more images"
            if len(failed) == MAX_SENDS:
                break
        if reply is not None:
            return reply  # a 503, which says when to try again
        tried = ", ".join(f"{address}: {reason}" for address, reason in failed.items())
        raise FleetUnavailableError(
            f"no worker that {self._proxy} named can be reached ({tried})", request_id=call.request_id
        )

    async def _look_up(self, call: Call) -> FoundWorker:
        try:
            reply = await self._transport.get(self._proxy + lookup.PATH, _headers(call))
        except LostConnectionError as error:
            raise lost(self._proxy, error, request_id=call.request_id) from error
        return lookup.found_worker(reply, request_id=call.request_id)


def _headers(call: Call) -> dict[str, str]:
    return call.headers(asyncio.get_running_loop().time())
