"""p2p mode: the proxy only says which worker to talk to, and the image goes there without passing it.

The rules:
- Each call looks up a worker, so that the proxy's choice spreads the load. Each further lookup of a call
  names the workers that failed at it, and the proxy chooses among the others.
- A worker that refuses, resets, breaks off its answer, lets nothing move for the try time-out, or says 503
  (it starts or leaves) or 429 (it is busy) has failed: another one is asked at once. A classification is
  idempotent and nothing of it has reached the caller, so it may be sent again.
- Where only busy ones are left, the call waits as long as they asked for, if it has that long.
- At most MAX_TRIES tries: a fleet that can't, or can't keep up, is not hammered.
- Any other answer is the answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tfleet.client import answer, lookup
from tfleet.client.errors import TryLaterError
from tfleet.client.forward import lost
from tfleet.client.transport import LostConnectionError

if TYPE_CHECKING:
    from tfleet.client.call import Call
    from tfleet.client.image import Image
    from tfleet.client.lookup import FoundWorker
    from tfleet.client.reply import Reply
    from tfleet.client.transport import Transport

MAX_TRIES: Final = 5
_UNAVAILABLE: Final = 503
_SEND_ELSEWHERE: Final = frozenset({429, _UNAVAILABLE})


class PeerToPeer:
    """Sends each image straight to the worker that the proxy names."""

    def __init__(self, transport: Transport, proxy: str, *, try_timeout_s: float) -> None:
        self._transport = transport
        self._proxy = proxy
        self._try_timeout_s = try_timeout_s

    async def send(self, image: Image, call: Call) -> Reply:
        """A worker's answer, whatever its status but 429 and 503. Raises FleetError where there is none."""
        while len(call.tries) < MAX_TRIES:
            worker = await self._look_up(call)
            if worker is not None:
                reply = await self._try(worker, image, call)
                if reply is not None:
                    return reply
            elif not await _waited_for_the_busy(call):
                break
        raise call.tries.error(self._proxy, request_id=call.request_id)

    async def _look_up(self, call: Call) -> FoundWorker | None:
        """The next worker; None where there is none but those that failed."""
        avoided = call.tries.avoided
        try:
            reply = await self._transport.get(self._proxy + lookup.path(avoided), _headers(call))
        except LostConnectionError as error:
            raise lost(self._proxy, error, request_id=call.request_id) from error
        if avoided and reply.status == _UNAVAILABLE:
            return None
        worker = lookup.found_worker(reply, request_id=call.request_id)
        return None if worker.id in avoided else worker

    async def _try(self, worker: FoundWorker, image: Image, call: Call) -> Reply | None:
        """The worker's answer, None where another worker is to be asked."""
        call.tries.ask(worker)
        try:
            reply = await self._transport.post(
                worker.address.url + call.path, image, _headers(call), try_timeout_s=self._try_timeout_s
            )
        except LostConnectionError as error:
            call.tries.failed(str(error))
            return None
        if reply.status not in _SEND_ELSEWHERE:
            return reply
        refusal = answer.failure(reply, request_id=call.request_id)
        assert isinstance(refusal, TryLaterError)
        call.tries.failed(str(refusal), refusal)
        return None


async def _waited_for_the_busy(call: Call) -> bool:
    """Wait until a busy worker may be asked again; False where there is none, or no time."""
    pause_s = call.tries.pause_s()
    if pause_s is None or asyncio.get_running_loop().time() + pause_s >= call.deadline:
        return False
    await asyncio.sleep(pause_s)
    call.tries.ask_the_busy_again()
    return True


def _headers(call: Call) -> dict[str, str]:
    return call.headers(asyncio.get_running_loop().time())
