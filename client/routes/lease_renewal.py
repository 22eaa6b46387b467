"""Keep a client's lease: get it from a proxy, and renew it in time.

The rules (those of the lease itself are in lease.py):
- A renewal runs in the background, one at a time. Calls wait for it only if no worker is left or the lease
  has expired.
- A call starts a renewal that is due, so an idle client sends nothing.
- If the proxy knows no workers but those that failed, these are requested: the proxy has been told of the
  failure and probes them, and one lost connection should not keep the only worker out for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from tfleet.client.concurrency.single_flight import SingleFlight
from tfleet.client.errors import FleetError, FleetUnavailableError
from tfleet.client.routes import lookup
from tfleet.client.routes.lease import Balance, Lease
from tfleet.client.routes.named_model import DEFAULT_MODEL, NamedModel
from tfleet.contract.names import REQUEST_ID

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.proxies.failover import ProxyFailover
    from tfleet.client.routes.lookup import FoundWorker, LeasedWorkers

_LOOKUP_TIMEOUT_S: Final = 5.0
_UNAVAILABLE: Final = 503
_MAX_RENEWALS: Final = 2
"""How many renewals a call waits for: the first may have been started by another call, which knew of fewer
failures.
"""


class LeaseRenewal:
    """The lease of one client. It belongs to the event loop that first uses it."""

    def __init__(
        self,
        transport: Transport,
        proxies: ProxyFailover,
        *,
        size: int,
        balance: Balance,
        model: NamedModel = DEFAULT_MODEL,
    ) -> None:
        self._model = model
        self.lease = Lease()
        self._transport = transport
        self._proxies = proxies
        self._size = size
        self._balance = balance
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        # A random start, so that many clients with one image each don't all choose the same worker.
        self._turn = int(self._rng.random() * size)
        self._in_flight: Counter[str] = Counter()
        self._renewals: SingleFlight[FleetError | None] = SingleFlight()

    def __repr__(self) -> str:
        return f"<LeaseRenewal {self.lease!r} in_flight={dict(self._in_flight)}>"

    async def worker(self, avoided: Collection[str], request_id: str) -> FoundWorker | None:
        """The worker for the next image, without those `avoided`; None if no other is left.

        Raises FleetError if nothing is avoided and the proxy grants no lease.
        """
        now_s = _now_s()
        worker = None
        if not self.lease.lapsed(now_s):
            # Due, but usable: renew in the background and do not wait.
            if self.lease.due(now_s):
                self._renewals.begin(lambda: self._renew(request_id, ()))
            worker = self._pick(avoided, now_s)
        error = None
        for _ in range(_MAX_RENEWALS):
            if worker is not None:
                break
            shared = self._renewals.busy
            error = await self._renewals.result(lambda: self._renew(request_id, avoided))
            worker = self._pick(avoided, _now_s())
            # A renewal that this call started itself knew all of `avoided`: a second one would bring nothing
            # new.
            if not shared:
                break
        if worker is None and not avoided:
            raise error or FleetUnavailableError(
                f"the workers that {self._proxies} named have just failed", request_id=request_id
            )
        return worker

    async def another_ticket(self, refused: str, request_id: str) -> bool:
        """Whether there is another ticket than `refused`, which a worker rejected; after a renewal if
        necessary.

        Raises FleetError if the proxy grants no lease.
        """
        # Another call may have renewed the lease in the meantime.
        if self.lease.ticket == refused:
            error = await self._renewals.result(lambda: self._renew(request_id, ()))
            if error is not None:
                raise error
        return self.lease.ticket != refused

    async def renew(self, request_id: str) -> None:
        """Renew the lease now, with workers that have failed."""
        self.lease = self.lease.without_failures()
        await self._renewals.result(lambda: self._renew(request_id, ()))

    @contextlib.contextmanager
    def using(self, worker: FoundWorker) -> Iterator[None]:
        """Count an image as in flight at the worker inside the block."""
        self._in_flight[worker.id] += 1
        try:
            yield
        finally:
            self._in_flight[worker.id] -= 1
            if not self._in_flight[worker.id]:
                # Workers come and go: the counter must not grow with them.
                del self._in_flight[worker.id]

    def answered(self, worker: FoundWorker) -> None:
        """Note that a worker answered."""
        self.lease = self.lease.answered(worker.id)

    def failed(self, worker: FoundWorker) -> None:
        """Note that a worker failed."""
        self.lease = self.lease.failed(worker.id, _now_s(), self._rng)

    def busy(self, worker: FoundWorker, rest_s: float) -> None:
        """Note that a worker is busy and asked for a pause of `rest_s` seconds."""
        self.lease = self.lease.busy(worker.id, rest_s, _now_s())

    async def close(self) -> None:
        """Cancel a renewal in progress. Calls that wait for it get a RuntimeError."""
        await self._renewals.close()

    def _pick(self, avoided: Collection[str], now_s: float) -> FoundWorker | None:
        load = self._in_flight.__getitem__  # a Counter: 0 for a missing key
        lease = self.lease
        at = lease.pick(self._turn, self._balance, load, avoided, now_s, self._rng)
        if at is None:
            return None
        self._turn = at + 1
        return lease.workers[at]

    async def _renew(self, request_id: str, avoided: Collection[str]) -> FleetError | None:
        """Replace the lease by a new one, or return the error."""
        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT_S):
                grant = await self._look_up(request_id, avoided)
        except TimeoutError:
            message = f"{self._proxies} did not answer a lookup within {_LOOKUP_TIMEOUT_S:g} s"
            return self._not_renewed(FleetUnavailableError(message, request_id=request_id))
        except FleetError as error:
            return self._not_renewed(error)
        self.lease = self.lease.renewed(grant, _now_s(), self._rng)
        return None

    async def _look_up(self, request_id: str, avoided: Collection[str]) -> LeasedWorkers:
        failed = self.lease.left_out(_now_s())
        reply = await self._ask(request_id, failed.union(avoided))
        if reply.status == _UNAVAILABLE and not failed.issubset(avoided):
            # Only failed workers are left: try them rather than fail.
            self.lease = self.lease.without_failures()
            reply = await self._ask(request_id, avoided)
        grant = lookup.read_lease(reply, request_id=request_id)
        for worker in grant.workers:
            self._model.check(worker)
        return grant

    async def _ask(self, request_id: str, excluded: Collection[str]) -> HttpResponse:
        path, headers = lookup.path(self._size, sorted(excluded), self._model), {REQUEST_ID: request_id}

        async def send(url: str, patience_s: float | None) -> HttpResponse:
            return await self._transport.get(url + path, headers, try_timeout_s=patience_s)

        deadline_s = _now_s() + _LOOKUP_TIMEOUT_S
        return await self._proxies.ask(send, deadline_s=deadline_s, request_id=request_id)

    def _not_renewed(self, error: FleetError) -> FleetError:
        self.lease = self.lease.not_renewed(_now_s(), self._rng)
        return error


def _now_s() -> float:
    return asyncio.get_running_loop().time()
