"""A lease: the workers among which a client balances its images in p2p mode. Values and decisions, no I/O.

The rules:
- Round robin: each image goes to the next worker. With `least-in-flight` it goes to the worker with the
  fewest images of this client, and among equals to the next one. A client starts at a random worker, so that
  many clients with one image each don't all use the same one.
- A worker in its slow start gets a share of its turns, as its weight says. If no other worker is left, it
  gets the image all the same.
- A worker that failed is removed at once, for all images. The next renewal reports it to the proxy, which
  names other workers and probes it. A few seconds later the proxy may name it again; after another failure it
  is left out for longer, up to a minute. So a worker that was only slow is back soon, and one that this
  client can't reach costs little.
- A busy worker is left alone for as long as it asked, unless no other worker is left.
- A lease is renewed after 60 to 80 % of its time, at random, so that clients don't renew together; sooner
  after a failure; at once if less than half of the workers are left.
- If the lease can't be renewed, the workers that answer stay in use: what the client sees counts more than
  the proxy.
- Leases are immutable: each change returns a new one. Times are in seconds on the caller's clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from tfleet.runtime.backoff import Backoff

if TYPE_CHECKING:
    import random

    from tfleet.client.routes.lookup import FoundWorker, LeasedWorkers

Balance = Literal["round-robin", "least-in-flight"]
BALANCES: Final = ("round-robin", "least-in-flight")

LEFT_OUT: Final = Backoff(first_s=4.0, cap_s=60.0)
"""How long a failed worker is left out. After 2 s the proxy has been told, and has probed the worker."""
_FAILURE_MEMORY_S: Final = 60.0
"""How long after that a failure is still counted, unless the worker answers."""

_RENEW_FROM: Final = 0.6
_RENEW_SPREAD: Final = 0.2
_REPORT_FAILURE_WITHIN_S: Final = 1.0
"""A failure is reported at a random moment of this time: all clients of a lost worker notice it at once."""
_TOO_FEW: Final = 0.5
_RETRY_JITTER_S: Final = 1.0
"""The random delay between the end of a worker's exclusion and the renewal that may bring it back."""
_RENEWAL_BACKOFF: Final = Backoff(first_s=1.0, cap_s=10.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """A worker that failed `times` without an answer in between is left out until `until_s`."""

    times: int
    until_s: float


@dataclass(frozen=True, slots=True)
class RenewalTimes:
    """When to renew a lease, when it expires, and how many renewals in a row have failed."""

    renew_at_s: float = -math.inf
    expires_at_s: float = -math.inf
    failed_renewals: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The `workers` that are left of `size`, and when to renew the lease.

    `answered_once` is whether one of the workers has answered since the proxy named them. `forwards` is
    whether the proxy forwards images itself. `ticket` is sent to the workers; empty if they need none.
    """

    workers: tuple[FoundWorker, ...] = ()
    size: int = 0
    answered_once: bool = False
    forwards: bool = False
    ticket: str = ""
    renewal: RenewalTimes = RenewalTimes()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    busy_until_s: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Lease {len(self.workers)} of {self.size} workers>"

    def due(self, now_s: float) -> bool:
        """Whether it is time to renew the lease."""
        return now_s >= self.renewal.renew_at_s

    def lapsed(self, now_s: float) -> bool:
        """Whether the lease must not be used before a renewal was tried."""
        # An expired lease that was could not be renewed just now stays in use until the next try is due.
        return not self.workers or (now_s >= self.renewal.expires_at_s and self.due(now_s))

    def pick(
        self,
        turn: int,
        balance: Balance,
        load: Callable[[str], int],
        avoided: Collection[str],
        now_s: float,
        rng: random.Random,
    ) -> int | None:
        """The index of the worker for the next image, from `turn` on, without those `avoided`; None if none
        is left.

        `load` returns how many images of this client a worker has.
        """
        found, cold, resting, least = None, None, None, math.inf
        # One pass with the fallbacks noted on the way: this runs for every image.
        for step in range(len(self.workers)):
            at = (turn + step) % len(self.workers)
            worker = self.workers[at]
            if worker.id in avoided:
                continue
            if self.busy_until_s and self.busy_until_s.get(worker.id, now_s) > now_s:
                resting = at if resting is None else resting
            # No random number for the usual weight of 1.
            elif worker.weight < 1 and rng.random() >= worker.weight:
                cold = at if cold is None else cold
            elif balance == "round-robin":
                return at
            elif (in_flight := load(worker.id)) < least:
                if in_flight == 0:  # no other worker can have fewer
                    return at
                found, least = at, in_flight
        return next((at for at in (found, cold, resting) if at is not None), None)

    def answered(self, worker_id: str) -> Lease:
        """The lease after a worker answered."""
        # The usual case: no new lease for each image.
        if self.answered_once and worker_id not in self.failures:
            return self
        failures = {known: failure for known, failure in self.failures.items() if known != worker_id}
        return replace(self, answered_once=True, failures=failures)

    def failed(self, worker_id: str, now_s: float, rng: random.Random) -> Lease:
        """The lease after a worker failed. Concurrent failures of one worker count once."""
        left = tuple(worker for worker in self.workers if worker.id != worker_id)
        if len(left) == len(self.workers):  # another image's failure has removed it already
            return self
        report_at_s = now_s + (
            rng.random() * _REPORT_FAILURE_WITHIN_S if len(left) >= _TOO_FEW * self.size else 0.0
        )
        before = self.failures.get(worker_id)
        times = 1 if before is None else before.times + 1
        failure = Failure(times, now_s + LEFT_OUT.delay_s(times, rng))
        return replace(
            self,
            workers=left,
            answered_once=self.answered_once and bool(left),
            renewal=replace(self.renewal, renew_at_s=min(self.renewal.renew_at_s, report_at_s)),
            failures={**self._failures(now_s), worker_id: failure},
        )

    def busy(self, worker_id: str, rest_s: float, now_s: float) -> Lease:
        """The lease after a worker was busy and asked for a pause of `rest_s`."""
        return replace(self, busy_until_s={**self._busy(now_s), worker_id: now_s + rest_s})

    def left_out(self, now_s: float) -> frozenset[str]:
        """The ids of the workers that are left out because they failed."""
        return frozenset(known for known, failure in self.failures.items() if failure.until_s > now_s)

    def without_failures(self) -> Lease:
        """The lease with all failures forgotten."""
        return replace(self, failures={})

    def renewed(self, grant: LeasedWorkers, now_s: float, rng: random.Random) -> Lease:
        """The lease that the proxy granted instead of this one."""
        failures = self._failures(now_s)
        left_out = self.left_out(now_s)
        # The proxy was asked to exclude these; it may name them all the same.
        workers = tuple(worker for worker in grant.workers if worker.id not in left_out)
        share = _RENEW_FROM + _RENEW_SPREAD * rng.random()
        # Renew earlier where a worker may come back earlier.
        usable_again_s = [
            failures[worker_id].until_s + _RETRY_JITTER_S * rng.random() for worker_id in left_out
        ]
        return Lease(
            workers=workers,
            size=len(workers),
            forwards=grant.forwards,
            ticket=grant.ticket,
            renewal=RenewalTimes(
                renew_at_s=min(now_s + grant.expires_in_s * share, *usable_again_s, math.inf),
                expires_at_s=now_s + grant.expires_in_s,
            ),
            failures=failures,
            busy_until_s=self._busy(now_s),
        )

    def not_renewed(self, now_s: float, rng: random.Random) -> Lease:
        """The lease after a renewal failed: its workers stay, and the next try waits longer each time."""
        failed = self.renewal.failed_renewals + 1
        renew_at_s = now_s + _RENEWAL_BACKOFF.delay_s(failed, rng)
        return replace(self, renewal=RenewalTimes(renew_at_s, self.renewal.expires_at_s, failed))

    def _failures(self, now_s: float) -> dict[str, Failure]:
        return {
            known: failure
            for known, failure in self.failures.items()
            if failure.until_s + _FAILURE_MEMORY_S > now_s
        }

    def _busy(self, now_s: float) -> dict[str, float]:
        return {worker_id: until_s for worker_id, until_s in self.busy_until_s.items() if until_s > now_s}
