"""Which workers there are and which of them get requests: values and decisions, no I/O.

The rules:

- The registry proposes, reachability decides. A worker that the registry no longer lists stays in use until
  a probe or a request finds it unreachable or not ready; only then it is dropped. So an empty or wrong
  answer of the registry never empties the pool.
- A listed worker that fails is ejected: it gets no requests until a probe of its `/readyz` succeeds. Probes
  of one worker come ever more slowly.
- Every change makes a new Pool. Whoever holds one never sees it change.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from tfleet.discovery.backoff import Backoff
from tfleet.discovery.instance import Instance

_EJECTION: Final = Backoff(first_s=1.0, cap_s=30.0)
_UNLISTED_PROBE_S: Final = 1.0


class State(StrEnum):
    """What the proxy thinks of a worker, in the words of `GET /workers`."""

    READY = "ready"
    EJECTED = "ejected"
    DRAINING = "draining"


class Probe(StrEnum):
    """What a request to `/readyz` found."""

    READY = "ready"
    NOT_READY = "not ready"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Member:
    """One worker in the pool. `probe_at_s` is on the caller's monotonic clock."""

    instance: Instance
    state: State = State.READY
    listed: bool = True
    failures: int = 0
    last_error: str = ""
    ejected_for_answers: bool = False
    probe_at_s: float = 0.0

    @property
    def id(self) -> str:
        return self.instance.id

    @property
    def wants_probe(self) -> bool:
        return not self.listed or self.state is not State.READY


@dataclass(frozen=True, slots=True)
class Pool:
    """All workers by id, in the order they came, and those of them that get requests."""

    members: Mapping[str, Member] = field(default_factory=dict)
    routable: tuple[Member, ...] = ()

    def __repr__(self) -> str:
        return f"<Pool routable={len(self.routable)} of {len(self.members)}>"

    def synced(self, listed: Iterable[Instance], now_s: float) -> Pool:
        """The pool after the registry's answer: newcomers are in, those no longer listed are to be probed."""
        found = {instance.id: instance for instance in listed}
        members = {
            member.id: _relisted(member, found.pop(member.id))
            if member.id in found
            else _unlisted(member, now_s)
            for member in self.members.values()
        }
        return _pool(members | {i: Member(instance) for i, instance in found.items()})

    def failed(self, worker_id: str, error: str, now_s: float, rng: random.Random) -> Pool:
        """The pool after a request or a probe that did not reach the worker."""
        member = self.members.get(worker_id)
        if member is None or not member.listed:
            return self._without(worker_id)
        failures = member.failures + 1
        return self._with(
            replace(
                member,
                state=State.EJECTED,
                failures=failures,
                last_error=error,
                probe_at_s=now_s + _EJECTION.delay_s(failures, rng),
            )
        )

    def failing(self, worker_id: str, error: str, now_s: float, rng: random.Random) -> Pool:
        """The pool after a worker that is reachable answered with errors again and again.

        At most half of the workers are ejected for their answers: when more of them fail, the fault is likely
        to be elsewhere (in what they are sent), and without them nobody would answer at all.
        """
        out = sum(member.ejected_for_answers for member in self.members.values())
        if worker_id not in self.members or 2 * (out + 1) > len(self.members):
            return self
        pool = self.failed(worker_id, error, now_s, rng)
        member = pool.members.get(worker_id)
        return pool if member is None else pool._with(replace(member, ejected_for_answers=True))

    def probed(self, worker_id: str, probe: Probe, error: str, now_s: float, rng: random.Random) -> Pool:
        """The pool after a probe."""
        member = self.members.get(worker_id)
        if probe is Probe.UNREACHABLE or member is None:
            return self.failed(worker_id, error, now_s, rng)
        if probe is Probe.NOT_READY:
            if not member.listed:
                return self._without(worker_id)
            return self._with(
                replace(member, state=State.DRAINING, last_error=error, probe_at_s=now_s + _UNLISTED_PROBE_S)
            )
        return self._with(
            replace(
                member,
                state=State.READY,
                failures=0,
                ejected_for_answers=False,
                probe_at_s=now_s + _UNLISTED_PROBE_S,
            )
        )

    def to_probe(self, now_s: float) -> tuple[Member, ...]:
        """The workers whose probe is due."""
        return tuple(m for m in self.members.values() if m.wants_probe and m.probe_at_s <= now_s)

    def next_probe_s(self) -> float | None:
        """When the next probe is due, on the caller's clock; None while nobody needs one."""
        return min((m.probe_at_s for m in self.members.values() if m.wants_probe), default=None)

    def _with(self, member: Member) -> Pool:
        return _pool({**self.members, member.id: member})

    def _without(self, worker_id: str) -> Pool:
        if worker_id not in self.members:
            return self
        return _pool({i: m for i, m in self.members.items() if i != worker_id})


def _relisted(member: Member, instance: Instance) -> Member:
    return replace(member, instance=instance, listed=True)


def _unlisted(member: Member, now_s: float) -> Member:
    return replace(member, listed=False, probe_at_s=now_s) if member.listed else member


def _pool(members: Mapping[str, Member]) -> Pool:
    return Pool(members, tuple(m for m in members.values() if m.state is State.READY))
