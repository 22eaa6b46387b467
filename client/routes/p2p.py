"""Whether images go through the proxy because no worker can be reached from where the client stands.

p2p mode: the proxy only says which workers to talk to, and the image goes there without passing it.

The rules:
- The workers are those of a lease: lease.py says whose turn it is, lease_keeper.py keeps it.
- A worker that refuses, resets, breaks off its answer, lets nothing move for the try time-out, or says 503
  (it starts or leaves) or 429 (it is busy) has failed: another one is asked at once. A classification is
  idempotent and nothing of it has reached the caller, so it may be sent again.
- Where only busy ones are left, the call waits as long as they asked for, if it has that long. Where only
  late ones are, they are asked once more.
- Each image goes with the ticket of the lease, if it has one. Where a worker does not take it (401), the
  lease is renewed at once and the image sent again; who does not take the new one either has failed.
- Each image names the worker that it is for. Who has got that one's address refuses it unread (421), and has
  failed in its place.
- At most MAX_TRIES tries: a fleet that can't, or can't keep up, is not hammered.
- Any other answer is the answer.
- If the first of a lease can't be reached, all the others are asked at once whether they can be; who can't
  is out. Where that is everybody, the image goes through the proxy, if the proxy takes images. If it comes to
  an answer there, the workers are well and it is the way to them that is missing: so do the next images, and
  once in a while it is looked whether a worker can be reached.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tfleet.client.concurrency.single_flight import SingleFlight
from tfleet.client.errors import (
    BusyError,
    FleetError,
    FleetUnavailableError,
    TryLaterError,
    UnexpectedAnswerError,
)
from tfleet.client.http import decode as answer
from tfleet.client.http.transport import LostConnectionError
from tfleet.client.routes.attempts import PAUSE_S
from tfleet.client.routes.forward import Forward
from tfleet.client.routes.lease_renewal import LeaseRenewal
from tfleet.contract.names import MAX_LEASE_SIZE, REQUEST_ID
from tfleet.contract.request_id import request_id

if TYPE_CHECKING:
    import random

    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.images.image import Image
    from tfleet.client.proxies.failover import ProxyFailover
    from tfleet.client.routes.call import Call
    from tfleet.client.routes.lease import Balance
    from tfleet.client.routes.lookup import FoundWorker

AGAIN_AFTER_S: Final = 30.0
_JITTER: Final = 0.25


@dataclass(frozen=True, slots=True)
class ProxyFallback:
    """A client is on it as long as `look_at_s` is set: then it looks again for a worker that it can reach.

    `told` is whether the user knows; once is enough. Times are on the caller's clock.
    """

    again_after_s: float = AGAIN_AFTER_S
    look_at_s: float | None = None
    told: bool = False

    @property
    def taken(self) -> bool:
        """Whether images go through the proxy."""
        return self.look_at_s is not None

    def due(self, now_s: float) -> bool:
        """Whether it is time to look for a worker again."""
        return self.look_at_s is not None and now_s >= self.look_at_s

    def on(self, now_s: float, rng: random.Random) -> ProxyFallback:
        """Take it, or stay on it, and look again in about `again_after_s`."""
        wait_s = self.again_after_s * (1 + _JITTER * (2 * rng.random() - 1))
        return replace(self, look_at_s=now_s + wait_s, told=True)

    def off(self) -> ProxyFallback:
        """Send straight to the workers again."""
        return replace(self, look_at_s=None)


MAX_TRIES: Final = 5
_UNAUTHORIZED: Final = 401
_MISDIRECTED: Final = 421
_NO_USE: Final = frozenset({_UNAUTHORIZED, _MISDIRECTED})
_SEND_ELSEWHERE: Final = frozenset({*_NO_USE, 429, 503})
_NOBODY_THERE: Final = frozenset({502, 503, 504})
_CONTACT_TIMEOUT_S: Final = 3.0

log: Final = logging.getLogger("tfleet.client")


class PeerToPeer:
    """Sends each image straight to a worker that the proxy named, if there is a way."""

    def __init__(
        self,
        transport: Transport,
        proxies: ProxyFailover,
        *,
        try_timeout_s: float,
        most_workers: int,
        balance: Balance,
        again_after_s: float = AGAIN_AFTER_S,
    ) -> None:
        self._transport = transport
        self._proxies = proxies
        self._try_timeout_s = try_timeout_s
        self._forward = Forward(transport, proxies)
        self._keeper = LeaseRenewal(
            transport, proxies, size=min(most_workers, MAX_LEASE_SIZE), balance=balance
        )
        self._contacts: SingleFlight[tuple[FoundWorker, ...]] = SingleFlight()
        self._detour = ProxyFallback(again_after_s)
        self._lost = ""
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret

    def __repr__(self) -> str:
        return f"<PeerToPeer {self._keeper!r} detour={self._detour.taken}>"

    async def send(self, image: Image, call: Call) -> HttpResponse:
        """An answer, whatever its status, but a worker's 429 and 503. Raises FleetError where there is
        none.
        """
        if self._detour.taken:
            if self._detour.due(_now_s()):
                self._detour = self._detour.on(_now_s(), self._rng)
                self._contacts.begin(self._way_back)
            return await self._forward.send(image, call)
        while len(call.tries) < MAX_TRIES:
            try:
                worker = await self._keeper.worker(call.tries.avoided, call.request_id)
            except FleetError as error:
                return await self._last_resort(image, call, error)
            if worker is not None:
                reply = await self._try(worker, image, call)
                if reply is not None:
                    return reply
                if not self._keeper.lease.met:
                    call.tries.avoid(await self._contacts.result(self._contact))
            elif not await _waited_for_the_busy(call) and not call.tries.ask_the_late_again():
                break
        return await self._last_resort(
            image, call, call.tries.error(str(self._proxies), request_id=call.request_id)
        )

    async def close(self) -> None:
        """End what runs beside the calls."""
        await self._contacts.close()
        await self._keeper.close()

    async def _try(self, worker: FoundWorker, image: Image, call: Call) -> HttpResponse | None:
        """The worker's answer, None where another worker is to be asked."""
        call.tries.ask(worker)
        ticket = self._keeper.lease.ticket
        headers = call.headers(_now_s(), ticket, worker.name)
        try:
            with self._keeper.using(worker):
                reply = await self._transport.post(
                    worker.address.url + call.path, image, headers, try_timeout_s=self._try_timeout_s
                )
        except LostConnectionError as error:
            if error.begun:
                self._keeper.answered(worker)
            self._keeper.failed(worker)
            call.tries.failed(str(error), late=error.late)
            self._lost = f"{worker.address}: {error}"
            return None
        self._keeper.answered(worker)
        doubtful = reply.status == _UNAUTHORIZED and call.tries.doubt_the_ticket()
        if doubtful and await self._keeper.another_ticket(ticket, call.request_id):
            self._keeper.answered(worker)  # for the new lease, which does not know it
            return None
        if reply.status not in _SEND_ELSEWHERE:
            return reply
        refusal = answer.failure(reply, request_id=call.request_id)
        if reply.status in _NO_USE:
            refusal = FleetUnavailableError(answer.detail(reply) or reply.describe(), status=reply.status)
        assert isinstance(refusal, TryLaterError)
        if isinstance(refusal, BusyError):
            rest_s = refusal.retry_after_s
            self._keeper.busy(worker, PAUSE_S if rest_s is None else rest_s)
        else:
            self._keeper.failed(worker)
        call.tries.failed(str(refusal), refusal)
        return None

    async def _last_resort(self, image: Image, call: Call, error: FleetError) -> HttpResponse:
        """The proxy's own answer, where no worker of the lease could be reached. Raises FleetError, that is
        `error` where the proxy doesn't know better either.
        """
        lease = self._keeper.lease
        # Another call may have had those who failed named once more.
        others = any(worker.id not in call.tries.avoided for worker in lease.workers)
        if others or lease.met or call.tries.somebody_answered or not lease.forwards:
            raise error
        try:
            reply = await self._forward.send(image, call)
        except FleetError:
            raise error from None
        if reply.status in _NOBODY_THERE:
            raise error
        if not self._detour.told:
            log.warning(
                "no worker can be reached from here (%s): images go through %s", self._lost, self._proxies
            )
        self._detour = self._detour.on(_now_s(), self._rng)
        return reply

    async def _way_back(self) -> tuple[FoundWorker, ...]:
        await self._keeper.renew(request_id(None))
        unreached = await self._contact()
        if self._keeper.lease.met:
            self._detour = self._detour.off()
        return unreached

    async def _contact(self) -> tuple[FoundWorker, ...]:
        """Those of the lease who don't answer; they are no longer in it."""
        workers = self._keeper.lease.workers
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._answers(worker)) for worker in workers]
        unreached = []
        for worker, task in zip(workers, asked, strict=True):
            if task.result():
                self._keeper.answered(worker)
            else:
                self._keeper.failed(worker)
                unreached.append(worker)
        return tuple(unreached)

    async def _answers(self, worker: FoundWorker) -> bool:
        url, headers = f"{worker.address.url}/healthz", {REQUEST_ID: request_id(None)}
        try:
            async with asyncio.timeout(_CONTACT_TIMEOUT_S):
                await self._transport.get(url, headers)
        except (LostConnectionError, UnexpectedAnswerError, TimeoutError):
            return False
        return True


async def _waited_for_the_busy(call: Call) -> bool:
    """Wait until a busy worker may be asked again; False where there is none, or no time."""
    pause_s = call.tries.pause_s()
    if pause_s is None or _now_s() + pause_s >= call.deadline:
        return False
    await asyncio.sleep(pause_s)
    call.tries.ask_the_busy_again()
    return True


def _now_s() -> float:
    return asyncio.get_running_loop().time()
