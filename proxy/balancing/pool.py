"""How a request says which worker it is for: bytes that are made once for each worker, not for each try.

An address that the proxy knows may belong to another worker by now. That one refuses what names somebody
else, before it reads the image.

Which workers there are and which of them get requests: values and decisions, no I/O.

The rules:

- The registry proposes, reachability decides. A newcomer gets requests when a probe of its `/readyz` has
  succeeded. A worker that the registry no longer lists stays in use until a probe or a request finds it
  unreachable, not ready, or late for about a minute; only then it is dropped. So no answer of the registry,
  be it empty or full of ghosts, changes who serves.
- But who has been absent for a minute from a registry that is in order all the while is dropped, reachable or
  not: our own workers register again within seconds, so it is somebody whom nobody wants any more. Not where
  that were more than half of those known to have been ready: then the fault is likely to be the registry's.
  Who is listed as ill is not absent.
- Who is in maintenance gets nothing until the registry says that it is over, however well it is.
- A listed worker that fails is ejected: it gets no requests until a probe of its `/readyz` succeeds. Probes
  of one worker come ever more slowly, also if it was back in between, until it has been well for a minute.
  Requests that fail together count once.
- Of the workers that can be reached at most half are ejected for what they answer. When more of them answer
  with errors, the fault is likely to be elsewhere (in what they are sent), and without them nobody would
  answer at all. There is no such limit for workers that can't be reached.
- A worker that served and then was too late for a probe, or with answers to several bodies in a row, is
  ejected as well, but where nobody else is left it gets requests even so: it may be that all are late because
  they have too much to do, or the proxy has.
- A worker that becomes ready is given its share little by little: see slow_start.py.
- Every change makes a new Pool. Whoever holds one never sees it change.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from tfleet.contract.names import WORKER
from tfleet.discovery.instance import Instance
from tfleet.discovery.maintenance import Maintained
from tfleet.proxy.balancing.slow_start import SlowStart
from tfleet.runtime.backoff import Backoff


def addressee(instance: Instance) -> bytes:
    """The lines Host and X-Worker, without the end of the last one.

    In a static list nobody has a name but its address, which is none that a worker knows itself by; and what
    could be anything but one header is no name either.
    """
    host, name = f"Host: {instance.address}", instance.id
    if name == str(instance.address) or not (name.isascii() and name.isprintable() and name == name.strip()):
        return host.encode()
    return f"{host}\r\n{WORKER}: {name}".encode()


_EJECTION: Final = Backoff(first_s=1.0, cap_s=30.0)
_PROBE_AGAIN_S: Final = 1.0
_WELL_AFTER_S: Final = 60.0
_ABSENT_FOR_S: Final = 59.0
"""A minute, less the second by which two blocking queries of half a minute may fall short of it."""
_MOST_LATE: Final = 6
"""So often may a worker that is not listed be late until it is dropped: for about a minute. It may have had
too much to do for its heartbeats, too."""


class WorkerState(StrEnum):
    """What the proxy thinks of a worker, in the words of `GET /workers`."""

    STARTING = "starting"
    READY = "ready"
    EJECTED = "ejected"
    DRAINING = "draining"


# Looked up once: an enum's attribute costs more than all else in a pass over 10,000.
_READY: Final = WorkerState.READY


class Probe(StrEnum):
    """What a request to `/readyz` found."""

    READY = "ready"
    NOT_READY = "not ready"
    UNREACHABLE = "unreachable"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One worker in the pool. Its times are on the caller's monotonic clock.

    `failures` counts how often it failed without having been well for a minute in between. At `warm_at_s` its
    slow start is over. `addressee` is what a request to it begins with, see addressee.py.

    `maintenance` is what to say of its maintenance, empty where it is in none. `absent_since_s` is since when
    a registry in order has not had it in any list.
    """

    instance: Instance
    state: WorkerState = WorkerState.READY
    listed: bool = True
    failures: int = 0
    last_error: str = ""
    ejected_for_answers: bool = False
    late: bool = False
    probe_at_s: float = 0.0
    ready_at_s: float = -math.inf
    warm_at_s: float = 0.0
    maintenance: str = ""
    absent_since_s: float | None = None
    addressee: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "addressee", addressee(self.instance))

    @property
    def id(self) -> str:
        return self.instance.id

    @property
    def known(self) -> bool:
        """Whether it has been more than a line in a list: ready once, or put into maintenance."""
        return self.ready_at_s > -math.inf or bool(self.maintenance)

    def answers_as(self, name: str | None) -> bool:
        """Whether an answer under this name is its own: another worker may have got its address since."""
        return answers_as(self.instance, name)


def answers_as(instance: Instance, name: str | None) -> bool:
    """Whether an answer under this name is the worker's own.

    In a static list nobody has a name but its address.
    """
    return name in {None, instance.id} or instance.id == str(instance.address)


@dataclass(frozen=True, slots=True)
class Pool:
    """All workers by id, in the order they came.

    Of them `routable` get requests, and `late` do where nobody else is left; `in_doubt` are to be probed, and
    those with the ids `out_for_answers` are ejected though they can be reached.
    """

    members: Mapping[str, PoolMember] = field(default_factory=dict)
    routable: tuple[PoolMember, ...] = ()
    late: tuple[PoolMember, ...] = ()
    in_doubt: tuple[PoolMember, ...] = ()
    out_for_answers: tuple[str, ...] = ()
    slow_start: SlowStart = field(default_factory=SlowStart)

    def __repr__(self) -> str:
        return f"<Pool routable={len(self.routable)} of {len(self.members)}>"

    def has_other(self, tried: Collection[str]) -> bool:
        """Whether anybody gets requests who was not tried. It looks at nobody but those that were."""
        if len(self.routable) > len(tried):
            return True
        known = (self.members.get(worker_id) for worker_id in set(tried))
        return len(self.routable) > sum(one is not None and one.state is WorkerState.READY for one in known)

    def synced(
        self,
        listed: Iterable[Instance],
        now_s: float,
        *,
        maintained: Iterable[Maintained] = (),
        ill: Collection[str] = (),
    ) -> Pool:
        """The pool after the registry's answer: newcomers and those no longer listed are to be probed.

        `ill` are the ids of those that it has as well, with checks that don't pass.
        """
        kept_out = {one.instance.id: one for one in maintained}
        found = {instance.id: instance for instance in listed if instance.id not in kept_out}
        members = {}
        for member in self.members.values():
            if (instance := found.pop(member.id, None)) is not None:
                members[member.id] = _relisted(member, instance, now_s)
            elif (one := kept_out.pop(member.id, None)) is not None:
                members[member.id] = _maintained(member, one)
            else:
                members[member.id] = _unlisted(member, now_s, absent=member.id not in ill)
        for instance in found.values():
            members[instance.id] = PoolMember(instance, state=WorkerState.STARTING, probe_at_s=now_s)
        for one in kept_out.values():
            members[one.instance.id] = _maintained(PoolMember(one.instance), one)
        return self._of(members, now_s)

    def heard(self, now_s: float, *, in_order: bool) -> Pool:
        """The pool after the registry was heard, or not: those who were absent for long enough are dropped.

        Whenever it is not in order the minute of all who are absent begins anew.
        """
        absent = {m.id: m.absent_since_s for m in self.in_doubt if m.absent_since_s is not None}
        if not absent:
            return self
        if not in_order:
            anew = {i: replace(self.members[i], absent_since_s=now_s) for i in absent}
            return self._of({**self.members, **anew}, now_s)
        gone = {i for i, since_s in absent.items() if now_s - since_s >= _ABSENT_FOR_S}
        known = {member.id for member in self.members.values() if member.known}
        if 2 * len(gone & known) > len(known):
            gone -= known
        if not gone:
            return self
        return self._of({i: member for i, member in self.members.items() if i not in gone}, now_s)

    def failed(
        self, worker_id: str, error: str, now_s: float, rng: random.Random, *, late: bool = False
    ) -> Pool:
        """The pool after a request that did not reach the worker, or was not answered in time (`late`)."""
        member = self.members.get(worker_id)
        if member is not None and member.listed and member.state is WorkerState.EJECTED:
            if member.late and not late:
                return self._of({**self.members, worker_id: replace(member, late=False)}, now_s)
            return self  # it is known: this request was under way when another one found out
        return self.probed({worker_id: (Probe.LATE if late else Probe.UNREACHABLE, error)}, now_s, rng)

    def failing(self, worker_id: str, error: str, now_s: float, rng: random.Random) -> Pool:
        """The pool after a worker that is reachable answered with errors again and again.

        That drops nobody, be it listed or not: a probe reaches it and brings it back.
        """
        member = self.members.get(worker_id)
        out = len(self.out_for_answers)
        if member is None or member.state is not WorkerState.READY or out + 1 > _most(out, self.routable):
            return self
        ejected = replace(_ejected(member, error, now_s, rng), ejected_for_answers=True)
        return self._of({**self.members, worker_id: ejected}, now_s)

    def probed(self, found: Mapping[str, tuple[Probe, str]], now_s: float, rng: random.Random) -> Pool:
        """The pool after probes: what each of them found, by the worker's id, and the error in words."""
        members = dict(self.members)  # in the order in which they came, whatever was looked at
        for worker_id, (probe, error) in found.items():
            member = members.get(worker_id)
            if member is None:
                continue
            late = probe is Probe.LATE and (member.late or member.state is WorkerState.READY)
            if probe is Probe.READY:
                members[worker_id] = _ready(member, self.slow_start, now_s)
            elif not member.listed and not (late and member.failures < _MOST_LATE):
                del members[worker_id]
            elif member.maintenance:
                continue  # nothing is sent to it, and nothing that it does can change that
            elif probe is Probe.NOT_READY:
                members[worker_id] = _not_ready(member, error, now_s)
            else:
                members[worker_id] = replace(_ejected(member, error, now_s, rng), late=late)
        return self._of(members, now_s)

    def to_probe(self, now_s: float) -> tuple[PoolMember, ...]:
        """The workers whose probe is due, those first that have been due for longest."""
        due = (member for member in self.in_doubt if member.probe_at_s <= now_s)
        return tuple(sorted(due, key=lambda member: member.probe_at_s))

    def next_probe_s(self) -> float | None:
        """When the next probe is due, on the caller's clock; None while nobody needs one."""
        return min((member.probe_at_s for member in self.in_doubt), default=None)

    def _of(self, members: dict[str, PoolMember], now_s: float) -> Pool:
        """The pool of these members, from what this one was."""
        routable = tuple([member for member in members.values() if member.state is _READY])
        in_doubt = tuple([m for m in members.values() if _is_in_doubt(m)])
        out = sorted((m for m in in_doubt if m.ejected_for_answers), key=lambda member: member.probe_at_s)
        if back := out[: len(out) - _most(len(out), routable)]:
            ready = {member.id: _ready(member, self.slow_start, now_s) for member in back}
            return self._of(members | ready, now_s)
        cold = [member.warm_at_s for member in routable if member.warm_at_s > now_s]
        slow_start = self.slow_start.after(len(routable), cold, now_s)
        return Pool(
            members=members,
            routable=routable,
            late=tuple([member for member in in_doubt if member.late]),
            in_doubt=in_doubt,
            out_for_answers=tuple(member.id for member in out),
            slow_start=slow_start,
        )


def _most(out: int, routable: Sequence[PoolMember]) -> int:
    """How many may be ejected for their answers when so many are, beside those that get requests."""
    return (out + len(routable)) // 2


def _ready(member: PoolMember, slow_start: SlowStart, now_s: float) -> PoolMember:
    again_s = now_s + _PROBE_AGAIN_S
    if member.maintenance:
        return replace(member, probe_at_s=again_s)
    if member.state is WorkerState.READY:
        return replace(member, last_error="", probe_at_s=again_s)
    return replace(
        member,
        state=WorkerState.READY,
        last_error="",
        ejected_for_answers=False,
        late=False,
        probe_at_s=again_s,
        ready_at_s=now_s,
        warm_at_s=slow_start.warm_at_s(now_s),
    )


def _not_ready(member: PoolMember, error: str, now_s: float) -> PoolMember:
    return replace(
        member,
        state=WorkerState.STARTING if member.state is WorkerState.STARTING else WorkerState.DRAINING,
        last_error=error,
        ejected_for_answers=False,
        late=False,
        probe_at_s=now_s + _PROBE_AGAIN_S,
    )


def _ejected(member: PoolMember, error: str, now_s: float, rng: random.Random) -> PoolMember:
    was_well = member.state is WorkerState.READY and now_s - member.ready_at_s > _WELL_AFTER_S
    failures = 1 if was_well else member.failures + 1
    return replace(
        member,
        state=WorkerState.EJECTED,
        failures=failures,
        last_error=error,
        ejected_for_answers=False,
        probe_at_s=now_s + _EJECTION.delay_s(failures, rng),
    )


def _is_in_doubt(member: PoolMember) -> bool:
    """Whether it is to be probed. Who is listed as in maintenance is not: nothing depends on it."""
    return not member.listed or (member.state is not _READY and not member.maintenance)


def _relisted(member: PoolMember, instance: Instance, now_s: float) -> PoolMember:
    if member.maintenance:
        member = _after_maintenance(member, now_s)
    if member.listed and member.instance == instance and member.absent_since_s is None:
        return member
    return replace(member, instance=instance, listed=True, absent_since_s=None)


def _unlisted(member: PoolMember, now_s: float, *, absent: bool) -> PoolMember:
    """No longer listed, or only as ill. An absent one may still be in maintenance: nobody has said no."""
    if member.maintenance and not absent:
        member = _after_maintenance(member, now_s)
    since_s = None
    if absent:
        since_s = now_s if member.absent_since_s is None else member.absent_since_s
    if not member.listed and since_s == member.absent_since_s:
        return member
    return replace(
        member,
        listed=False,
        absent_since_s=since_s,
        probe_at_s=now_s if member.listed else member.probe_at_s,
    )


def _maintained(member: PoolMember, one: Maintained) -> PoolMember:
    return replace(
        member,
        instance=one.instance,
        state=WorkerState.DRAINING,
        listed=True,
        last_error=one.reason,
        ejected_for_answers=False,
        late=False,
        maintenance=one.reason,
        absent_since_s=None,
    )


def _after_maintenance(member: PoolMember, now_s: float) -> PoolMember:
    """It serves again as soon as a probe finds it ready."""
    return replace(member, last_error="", maintenance="", probe_at_s=now_s)
