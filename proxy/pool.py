"""Which workers there are and which of them get requests: values and decisions, no I/O.

The rules:

- The registry proposes, reachability decides. A newcomer gets requests when a probe of its `/readyz` has
  succeeded. A worker that the registry no longer lists stays in use until a probe or a request finds it
  unreachable or not ready; only then it is dropped. So no answer of the registry, be it empty or full of
  ghosts, changes who serves.
- A listed worker that fails is ejected: it gets no requests until a probe of its `/readyz` succeeds. Probes
  of one worker come ever more slowly, also if it was back in between, until it has been well for a minute.
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
_PROBE_AGAIN_S: Final = 1.0
_WELL_AFTER_S: Final = 60.0


class State(StrEnum):
    """What the proxy thinks of a worker, in the words of `GET /workers`."""

    STARTING = "starting"
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
    """One worker in the pool. `probe_at_s` and `ready_at_s` are on the caller's monotonic clock.

    `failures` counts how often it failed without having been well for a minute in between.
    """

    instance: Instance
    state: State = State.READY
    listed: bool = True
    failures: int = 0
    last_error: str = ""
    ejected_for_answers: bool = False
    probe_at_s: float = 0.0
    ready_at_s: float = 0.0

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
        """The pool after the registry's answer: newcomers and those no longer listed are to be probed."""
        found = {instance.id: instance for instance in listed}
        members = {
            member.id: _relisted(member, found.pop(member.id))
            if member.id in found
            else _unlisted(member, now_s)
            for member in self.members.values()
        }
        newcomers = {
            i: Member(instance, state=State.STARTING, probe_at_s=now_s) for i, instance in found.items()
        }
        return _pool(members | newcomers)

    def failed(self, worker_id: str, error: str, now_s: float, rng: random.Random) -> Pool:
        """The pool after a request that did not reach the worker."""
        return self.probed({worker_id: (Probe.UNREACHABLE, error)}, now_s, rng)

    def failing(self, worker_id: str, error: str, now_s: float, rng: random.Random) -> Pool:
        """The pool after a worker that is reachable answered with errors again and again.

        At most half of the workers are ejected for their answers: when more of them fail, the fault is likely
        to be elsewhere (in what they are sent), and without them nobody would answer at all.
        """
        out = sum(member.ejected_for_answers for member in self.members.values())
        if worker_id not in self.members or 2 * (out + 1) > len(self.members):
            return self
        members = dict(self.failed(worker_id, error, now_s, rng).members)
        if worker_id in members:
            members[worker_id] = replace(members[worker_id], ejected_for_answers=True)
        return _pool(members)

    def probed(self, found: Mapping[str, tuple[Probe, str]], now_s: float, rng: random.Random) -> Pool:
        """The pool after probes: what each of them found, by the worker's id, and the error in words."""
        members = dict(self.members)
        for worker_id, (probe, error) in found.items():
            member = members.pop(worker_id, None)
            if member is None or (not member.listed and probe is not Probe.READY):
                continue
            members[worker_id] = _after(member, probe, error, now_s, rng)
        # In the order in which they came, whatever was looked at.
        return _pool({worker_id: members[worker_id] for worker_id in self.members if worker_id in members})

    def to_probe(self, now_s: float) -> tuple[Member, ...]:
        """The workers whose probe is due, those first that have been due for longest."""
        due = (m for m in self.members.values() if m.wants_probe and m.probe_at_s <= now_s)
        return tuple(sorted(due, key=lambda member: member.probe_at_s))

    def next_probe_s(self) -> float | None:
        """When the next probe is due, on the caller's clock; None while nobody needs one."""
        return min((m.probe_at_s for m in self.members.values() if m.wants_probe), default=None)


def _after(member: Member, probe: Probe, error: str, now_s: float, rng: random.Random) -> Member:
    if probe is Probe.UNREACHABLE:
        was_well = member.state is State.READY and now_s - member.ready_at_s > _WELL_AFTER_S
        failures = 1 if was_well else member.failures + 1
        return replace(
            member,
            state=State.EJECTED,
            failures=failures,
            last_error=error,
            probe_at_s=now_s + _EJECTION.delay_s(failures, rng),
        )
    again_s = now_s + _PROBE_AGAIN_S
    if probe is Probe.NOT_READY:
        state = State.STARTING if member.state is State.STARTING else State.DRAINING
        return replace(member, state=state, last_error=error, probe_at_s=again_s)
    since_s = member.ready_at_s if member.state is State.READY else now_s
    return replace(
        member,
        state=State.READY,
        last_error="",
        ejected_for_answers=False,
        probe_at_s=again_s,
        ready_at_s=since_s,
    )


def _relisted(member: Member, instance: Instance) -> Member:
    return replace(member, instance=instance, listed=True)


def _unlisted(member: Member, now_s: float) -> Member:
    return replace(member, listed=False, probe_at_s=now_s) if member.listed else member


def _pool(members: Mapping[str, Member]) -> Pool:
    return Pool(members, tuple(m for m in members.values() if m.state is State.READY))
