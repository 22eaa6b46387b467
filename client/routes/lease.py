"""A lease: the workers that a client shares its images among. Values and decisions, no I/O.

The rules:
- Each image goes to the worker whose turn it is; with `least-in-flight` to the one with the fewest images of
  this client's, and of several such to the one whose turn it is. A client begins anywhere, so that many that
  send one image each don't all send it to the same worker.
- A worker in its slow start has its turn as often as its weight says. Nobody is left out for it: the first
  who was passed over gets what nobody else takes.
- A worker that failed is out at once, for everybody. The proxy is told by the next renewal, names others, and
  probes it. A few seconds later it is asked again and may name it; if it fails once more it is left out for
  longer, up to a minute. So who was only late is back soon, and who can't be reached from here costs little.
- A worker that is busy rests as long as it asked for, and gets only what nobody else takes.
- A lease is renewed at some moment, not the same for every client, between 60 and 80 % of its time; sooner
  if a worker failed; at once if less than half of the workers are left.
- The proxy advises and reachability decides: where the lease can't be renewed, those who answer stay in use.
- Every change makes a new Lease. Times are on the caller's clock, in seconds.
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
"""How long a worker that failed is left out. After the first 2 s the proxy has heard of it and its probe
is over.
"""
_REMEMBERED_S: Final = 60.0
"""How long after that a failure still counts, if no answer comes in between."""

_RENEWED_FROM: Final = 0.6
_RENEWED_WITHIN: Final = 0.2
_TOLD_WITHIN_S: Final = 1.0
"""Of a failure. Spread, since all the clients of a worker that is lost find out at the same moment."""
_FEW: Final = 0.5
_ASKED_WITHIN_S: Final = 1.0
"""Of the moment from which a worker is wanted again."""
_AGAIN: Final = Backoff(first_s=1.0, cap_s=10.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """A worker that failed so many `times` without an answer in between: it is left out `until_s`."""

    times: int
    until_s: float


@dataclass(frozen=True, slots=True)
class Lease:
    """The `workers` that are left of `size`, and when the proxy is to be asked again.

    `met` is whether one of them has answered since they were named. `forwards` is whether the proxy would
    take an image itself. `ticket` is to be shown to the workers, empty where they ask for none.
    """

    workers: tuple[FoundWorker, ...] = ()
    size: int = 0
    met: bool = False
    forwards: bool = False
    ticket: str = ""
    renew_at_s: float = -math.inf
    expires_at_s: float = -math.inf
    vain_renewals: int = 0
    failures: Mapping[str, Failure] = field(default_factory=dict)
    resting_until_s: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Lease {len(self.workers)} of {self.size} workers>"

    def due(self, now_s: float) -> bool:
        """Whether it is time to renew it."""
        return now_s >= self.renew_at_s

    def lapsed(self, now_s: float) -> bool:
        """Whether nobody is to be sent an image before it was tried to renew it."""
        return not self.workers or (now_s >= self.expires_at_s and self.due(now_s))

    def pick(
        self,
        turn: int,
        balance: Balance,
        load: Callable[[str], int],
        avoided: Collection[str],
        now_s: float,
        rng: random.Random,
    ) -> int | None:
        """The index of the worker for the next image, from `turn` on and none of those `avoided`; None where
        nobody is left. `load` is how many images of this client's a worker has.
        """
        found, cold, resting, least = None, None, None, math.inf
        for step in range(len(self.workers)):
            at = (turn + step) % len(self.workers)
            worker = self.workers[at]
            if worker.id in avoided:
                continue
            if self.resting_until_s and self.resting_until_s.get(worker.id, now_s) > now_s:
                resting = at if resting is None else resting
            elif worker.weight < 1 and rng.random() >= worker.weight:
                cold = at if cold is None else cold
            elif balance == "round-robin":
                return at
            elif (in_flight := load(worker.id)) < least:
                if in_flight == 0:
                    return at
                found, least = at, in_flight
        return next((at for at in (found, cold, resting) if at is not None), None)

    def answered(self, worker_id: str) -> Lease:
        """The lease after an answer."""
        if self.met and worker_id not in self.failures:
            return self
        failures = {known: failure for known, failure in self.failures.items() if known != worker_id}
        return replace(self, met=True, failures=failures)

    def failed(self, worker_id: str, now_s: float, rng: random.Random) -> Lease:
        """The lease after a worker failed. Tries that fail together count once."""
        left = tuple(worker for worker in self.workers if worker.id != worker_id)
        if len(left) == len(self.workers):
            return self
        tell_at_s = now_s + (rng.random() * _TOLD_WITHIN_S if len(left) >= _FEW * self.size else 0.0)
        before = self.failures.get(worker_id)
        times = 1 if before is None else before.times + 1
        failure = Failure(times, now_s + LEFT_OUT.delay_s(times, rng))
        return replace(
            self,
            workers=left,
            met=self.met and bool(left),
            renew_at_s=min(self.renew_at_s, tell_at_s),
            failures={**self._failures(now_s), worker_id: failure},
        )

    def busy(self, worker_id: str, rest_s: float, now_s: float) -> Lease:
        """The lease after a worker asked to be left alone for a while."""
        return replace(self, resting_until_s={**self._resting(now_s), worker_id: now_s + rest_s})

    def unwanted(self, now_s: float) -> frozenset[str]:
        """The ids of the workers that are left out."""
        return frozenset(known for known, failure in self.failures.items() if failure.until_s > now_s)

    def forgiving(self) -> Lease:
        """The lease where nobody is left out."""
        return replace(self, failures={})

    def renewed(self, grant: LeasedWorkers, now_s: float, rng: random.Random) -> Lease:
        """The lease that the proxy gave instead of this one."""
        failures = self._failures(now_s)
        unwanted = self.unwanted(now_s)
        workers = tuple(worker for worker in grant.workers if worker.id not in unwanted)
        share = _RENEWED_FROM + _RENEWED_WITHIN * rng.random()
        wanted_again_s = [
            failures[worker_id].until_s + _ASKED_WITHIN_S * rng.random() for worker_id in unwanted
        ]
        return Lease(
            workers=workers,
            size=len(workers),
            forwards=grant.forwards,
            ticket=grant.ticket,
            renew_at_s=min(now_s + grant.expires_in_s * share, *wanted_again_s, math.inf),
            expires_at_s=now_s + grant.expires_in_s,
            failures=failures,
            resting_until_s=self._resting(now_s),
        )

    def not_renewed(self, now_s: float, rng: random.Random) -> Lease:
        """The lease after the proxy gave none, or none that it could give to this client."""
        vain = self.vain_renewals + 1
        return replace(self, vain_renewals=vain, renew_at_s=now_s + _AGAIN.delay_s(vain, rng))

    def _failures(self, now_s: float) -> dict[str, Failure]:
        return {
            known: failure
            for known, failure in self.failures.items()
            if failure.until_s + _REMEMBERED_S > now_s
        }

    def _resting(self, now_s: float) -> dict[str, float]:
        return {worker_id: until_s for worker_id, until_s in self.resting_until_s.items() if until_s > now_s}
