"""Picks workers from a pool, for one request or for a lease; of the whole pool, or of one version's workers.

Each version has a policy object of its own: round robin counts through one list of workers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Final

from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.policies import POLICIES, LeaseRotation, LoadOf, Picker
from tfleet.proxy.balancing.pool import Pool
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.settings import Balance

_WHOLE: Final = ModelVersion("", "")
"""Stands for all workers, whichever version they have."""


class Picking:
    """The policies' state: how far each has come."""

    def __init__(
        self, balance: Balance, load: LoadOf, rng: random.Random, clock: Callable[[], float]
    ) -> None:
        self._balance = balance
        self._load = load
        self._rng = rng
        self._clock = clock
        self._pickers: dict[ModelVersion, Picker] = {}
        self._rotations: dict[ModelVersion, LeaseRotation] = {}

    def __repr__(self) -> str:
        return f"<Picking {self._balance} versions={len(self._pickers)}>"

    def __len__(self) -> int:
        return len(self._pickers)

    def pick(self, pool: Pool, tried: Collection[str], version: ModelVersion = _WHOLE) -> PoolMember | None:
        """A routable worker, none of those already `tried`; None if none is left."""
        if not pool.has_other(tried):
            return None
        picker = self._pickers.get(version)
        if picker is None:
            picker = self._pickers[version] = POLICIES[self._balance](self._load, self._rng)
        return picker(pool, tried, self._clock())

    def last_resort(self, pool: Pool, tried: Collection[str]) -> PoolMember | None:
        """A worker that served and was ejected for being late."""
        late = pool.late
        # From a random one on: else the first of them would get all requests.
        first = int(self._rng.random() * len(late))
        order = (late[(first + step) % len(late)] for step in range(len(late)))
        return next((member for member in order if member.id not in tried), None)

    def lease(
        self, pool: Pool, n: int, tried: Collection[str], version: ModelVersion = _WHOLE
    ) -> tuple[PoolMember, ...]:
        """Up to `n` workers for one client, none of those already `tried`; empty if none is left."""
        workers = pool.routable if pool.has_other(tried) else pool.late
        rotation = self._rotations.get(version)
        if rotation is None:
            rotation = self._rotations[version] = LeaseRotation()
        return rotation(workers, n, tried)

    def forget_all_but(self, versions: Collection[ModelVersion]) -> None:
        """Forget versions that nobody has any more."""
        for state in (self._pickers, self._rotations):
            for gone in [one for one in state if one not in versions and one != _WHOLE]:
                del state[gone]
