"""p2p mode: the proxy names workers, and images go directly to them; with a fallback through the proxy.

The rules:
- The workers are those of a lease: lease.py chooses among them, lease_renewal.py renews it.
- A worker has failed if it refuses, resets or breaks off, makes no progress for the try timeout, or answers
  503 (it is starting or draining) or 429 (it is busy). Another one is tried at once. That is safe because a
  prediction is idempotent and nothing of it has reached the caller.
- A model that keeps state is not asked again by a request that may have reached it: the lease says so.
- If only busy workers are left, the call waits as long as they asked, if it has the time. If only workers
  that timed out are left, they are tried once more.
- Each image is sent with the lease's ticket, if it has one. If a worker rejects the ticket (401), the lease
  is renewed at once and the image sent again; if the new ticket is rejected as well, the worker has failed.
- Each image names its worker. If another worker has that address now, it answers 421 without reading the
  body, which counts as a failure of the worker that was named.
- At most MAX_ATTEMPTS attempts, so that an overloaded fleet does not get even more requests.
- Any other answer is returned.
- If the first worker of a lease can't be reached, all others are probed at once, and those that don't answer
  are left out. If no worker is reachable, images go through the proxy. If that succeeds, the following images
  do too, and the client probes the workers about every 30 s.
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
from tfleet.client.http import responses
from tfleet.client.http.transport import LostConnectionError
from tfleet.client.routes.attempts import PAUSE_S
from tfleet.client.routes.forward import Forward, not_repeated
from tfleet.client.routes.lease_renewal import LeaseRenewal
from tfleet.client.routes.named_model import DEFAULT_MODEL, NamedModel
from tfleet.contract.names import MAX_LEASE_SIZE, REQUEST_ID
from tfleet.contract.request_id import request_id

if TYPE_CHECKING:
    from tfleet.client.body import SentBody
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.proxies.failover import ProxyFailover
    from tfleet.client.routes.call import Call
    from tfleet.client.routes.lease import Balance
    from tfleet.client.routes.lookup import FoundWorker

AGAIN_AFTER_S: Final = 30.0
_JITTER: Final = 0.25
MAX_ATTEMPTS: Final = 5
_UNAUTHORIZED: Final = 401
_MISDIRECTED: Final = 421
_WRONG_WORKER: Final = frozenset({_UNAUTHORIZED, _MISDIRECTED})
_TRY_ANOTHER: Final = frozenset({*_WRONG_WORKER, 429, 503})
_NO_WORKER: Final = frozenset({502, 503, 504})
_PROBE_TIMEOUT_S: Final = 3.0

log: Final = logging.getLogger("tfleet.client")


@dataclass(frozen=True, slots=True)
class ProxyFallback:
    """Whether images go through the proxy because no worker can be reached, and when to check that again.

    `warned` is whether the user was warned; once is enough. Times are in seconds on the caller's clock.
    """

    again_after_s: float = AGAIN_AFTER_S
    check_at_s: float | None = None
    warned: bool = False

    @property
    def active(self) -> bool:
        """Whether images go through the proxy."""
        return self.check_at_s is not None

    def due(self, now_s: float) -> bool:
        """Whether it is time to check whether a worker can be reached."""
        return self.check_at_s is not None and now_s >= self.check_at_s

    def on(self, now_s: float, rng: random.Random) -> ProxyFallback:
        """The fallback active, with the next check after about `again_after_s`."""
        wait_s = self.again_after_s * (1 + _JITTER * (2 * rng.random() - 1))
        return replace(self, check_at_s=now_s + wait_s, warned=True)

    def off(self) -> ProxyFallback:
        """The fallback inactive: images go directly to workers again."""
        return replace(self, check_at_s=None)


class PeerToPeer:
    """Sends each image directly to a worker that the proxy named, or through the proxy if no worker is
    reachable.
    """

    def __init__(
        self,
        transport: Transport,
        proxies: ProxyFailover,
        *,
        try_timeout_s: float,
        max_workers: int,
        balance: Balance,
        model: NamedModel = DEFAULT_MODEL,
        again_after_s: float = AGAIN_AFTER_S,
    ) -> None:
        self._transport = transport
        self._proxies = proxies
        self._try_timeout_s = try_timeout_s
        self._forward = Forward(transport, proxies, model)
        self._renewal = LeaseRenewal(
            transport, proxies, size=min(max_workers, MAX_LEASE_SIZE), balance=balance, model=model
        )
        self._probes: SingleFlight[tuple[FoundWorker, ...]] = SingleFlight()
        self._fallback = ProxyFallback(again_after_s)
        self._last_failure = ""
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret

    def __repr__(self) -> str:
        return f"<PeerToPeer {self._renewal!r} fallback={self._fallback.active}>"

    async def send(self, body: SentBody, call: Call) -> HttpResponse:
        """An answer with any status except a worker's 429 and 503. Raises FleetError if there is none."""
        if self._fallback.active:
            if self._fallback.due(_now_s()):
                # Scheduled before the check ends, so that other calls don't start one as well.
                self._fallback = self._fallback.on(_now_s(), self._rng)
                self._probes.begin(self._check_direct_route)
            return await self._forward.send(body, call)
        while len(call.attempts) < MAX_ATTEMPTS:
            try:
                worker = await self._renewal.worker(call.attempts.avoided, call.request_id)
            except FleetError as error:
                return await self._last_resort(body, call, error)
            if worker is not None:
                reply = await self._attempt(worker, body, call)
                if reply is not None:
                    return reply
                # No worker of this lease has ever answered: probe all now, instead of one timeout after the
                # other.
                if not self._renewal.lease.answered_once:
                    call.attempts.avoid(await self._probes.result(self._probe_all))
            elif not await _waited_for_busy(call) and not call.attempts.retry_late():
                break
        return await self._last_resort(
            body, call, call.attempts.error(str(self._proxies), request_id=call.request_id)
        )

    async def close(self) -> None:
        """End the background tasks."""
        await self._forward.close()
        await self._probes.close()
        await self._renewal.close()

    async def _attempt(self, worker: FoundWorker, body: SentBody, call: Call) -> HttpResponse | None:
        """The worker's answer; None if another worker should be tried."""
        call.attempts.ask(worker)
        ticket = self._renewal.lease.ticket
        headers = call.headers(_now_s(), ticket, worker.name)
        idempotent = not worker.stateful if call.idempotent is None else call.idempotent
        try:
            with self._renewal.using(worker):
                reply = await self._transport.post(
                    worker.address.url + call.path_at(worker),
                    body,
                    headers,
                    try_timeout_s=self._try_timeout_s,
                    idempotent=idempotent,
                )
        except LostConnectionError as error:
            if error.begun:
                # It is reachable, which counts even if it has failed: no fallback through the proxy.
                self._renewal.answered(worker)
            self._renewal.failed(worker)
            if error.sent and not idempotent:
                raise not_repeated(str(worker.address), error, call) from error
            call.attempts.failed(str(error), late=error.late)
            self._last_failure = f"{worker.address}: {error}"
            return None
        self._renewal.answered(worker)
        ticket_rejected = reply.status == _UNAUTHORIZED and call.attempts.may_renew_ticket()
        if ticket_rejected and await self._renewal.another_ticket(ticket, call.request_id):
            self._renewal.answered(worker)  # again, for the new lease
            return None
        if reply.status not in _TRY_ANOTHER:
            return reply
        refusal = responses.failure(reply, request_id=call.request_id)
        if reply.status in _WRONG_WORKER:
            # 401 and 421 are no error of the caller's image.
            refusal = FleetUnavailableError(responses.detail(reply) or reply.describe(), status=reply.status)
        assert isinstance(refusal, TryLaterError)
        if isinstance(refusal, BusyError):
            rest_s = refusal.retry_after_s
            # A busy worker is healthy: it stays in the lease.
            self._renewal.busy(worker, PAUSE_S if rest_s is None else rest_s)
        else:
            self._renewal.failed(worker)
        call.attempts.failed(str(refusal), refusal)
        return None

    async def _last_resort(self, body: SentBody, call: Call, error: FleetError) -> HttpResponse:
        """The answer through the proxy, if no worker of the lease could be reached. Otherwise raises
        `error`.
        """
        lease = self._renewal.lease
        # Another call may have renewed the lease since.
        others = any(worker.id not in call.attempts.avoided for worker in lease.workers)
        if others or lease.answered_once or call.attempts.any_answered or not lease.forwards:
            raise error
        try:
            reply = await self._forward.send(body, call)
        except FleetError:
            raise error from None
        # The proxy reaches no worker either: the workers have failed, and the direct route is not the
        # problem.
        if reply.status in _NO_WORKER:
            raise error
        if not self._fallback.warned:
            log.warning(
                "no worker can be reached from here (%s): images go through %s",
                self._last_failure,
                self._proxies,
            )
        # The proxy reaches workers and this client does not: don't repeat the failures with the next image.
        self._fallback = self._fallback.on(_now_s(), self._rng)
        return reply

    async def _check_direct_route(self) -> tuple[FoundWorker, ...]:
        # A new lease first: the workers of the old one may be gone by now.
        await self._renewal.renew(request_id(None))
        unreachable = await self._probe_all()
        if self._renewal.lease.answered_once:
            self._fallback = self._fallback.off()
        return unreachable

    async def _probe_all(self) -> tuple[FoundWorker, ...]:
        """Probe all workers of the lease. Removes and returns those that don't answer."""
        workers = self._renewal.lease.workers
        async with asyncio.TaskGroup() as group:
            # All at once: together they take one probe timeout, not one each.
            asked = [group.create_task(self._responds(worker)) for worker in workers]
        unreachable = []
        for worker, task in zip(workers, asked, strict=True):
            if task.result():
                self._renewal.answered(worker)
            else:
                self._renewal.failed(worker)
                unreachable.append(worker)
        return tuple(unreachable)

    async def _responds(self, worker: FoundWorker) -> bool:
        url, headers = f"{worker.address.url}/healthz", {REQUEST_ID: request_id(None)}
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await self._transport.get(url, headers)
        except (LostConnectionError, UnexpectedAnswerError, TimeoutError):
            return False
        return True


async def _waited_for_busy(call: Call) -> bool:
    """Wait until a busy worker may be tried again. False if there is none, or not enough time."""
    pause_s = call.attempts.pause_s()
    if pause_s is None or _now_s() + pause_s >= call.deadline:
        return False
    await asyncio.sleep(pause_s)
    call.attempts.retry_busy()
    return True


def _now_s() -> float:
    return asyncio.get_running_loop().time()
