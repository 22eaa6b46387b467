"""One Redis with its jobs: each method is one script, or one command that changes nothing.

All methods raise JobsUnavailableError while this Redis can't be reached.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import structlog

from tfleet.contract.names import REQUEST_ID
from tfleet.jobs.counts import ShardStats, read_stats
from tfleet.jobs.errors import NoGroupError, UnsuitableRedisError
from tfleet.jobs.job import (
    UNREADABLE,
    JobAnswer,
    JobDelivery,
    JobLimits,
    JobMoments,
    JobRecord,
    JobRequest,
    JobState,
    JobTarget,
    NewJob,
    TakenJob,
)
from tfleet.jobs.job_id import ShardIdentity, new_shard_identity
from tfleet.jobs.scripts.begin import BEGIN
from tfleet.jobs.scripts.cancel import CANCEL
from tfleet.jobs.scripts.end_callback import END_CALLBACK
from tfleet.jobs.scripts.expire import EXPIRE
from tfleet.jobs.scripts.finish import FINISH
from tfleet.jobs.scripts.leave import LEAVE
from tfleet.jobs.scripts.open_stream import OPEN_STREAM
from tfleet.jobs.scripts.put_back import PUT_BACK
from tfleet.jobs.scripts.put_off_callback import PUT_OFF_CALLBACK
from tfleet.jobs.scripts.reclaim import RECLAIM
from tfleet.jobs.scripts.recount import RECOUNT
from tfleet.jobs.scripts.renew import RENEW
from tfleet.jobs.scripts.retry import RETRY
from tfleet.jobs.scripts.script import GROUP
from tfleet.jobs.scripts.stats import STATS
from tfleet.jobs.scripts.submit import SUBMIT
from tfleet.jobs.scripts.take_callbacks import TAKE_CALLBACKS
from tfleet.jobs.scripts.tidy import TIDY

if TYPE_CHECKING:  # importing it for real imports redis-py
    from tfleet.jobs.redis_connection import RedisConnection

DEAD_AT: Final = 3
"""The delivery at which a job is dead."""
MOST_CALLBACK_TRIES: Final = 8
KEEP_DEAD_MS: Final = 7 * 24 * 3600 * 1000
SETTLED_CHANNEL: Final = "settled"
IDLE_MS: Final = 3600 * 1000
"""For so long a worker without jobs, or a stream without workers and jobs, is remembered."""
MOST_BEGUN_BYTES: Final = 32 * 1024 * 1024
"""Bodies in one answer: more of them may not come within the time limit of a command."""
_EXPIRED_AT_ONCE: Final = 100
_TIDIED_AT_ONCE: Final = 100

_FIELDS: Final = (
    *("state", "model", "version", "submitted_ms", "deadline_ms", "body_bytes", "worker", "deliveries"),
    *("reason", "settled_ms"),
)
_ANSWER_FIELDS: Final = ("status", "answer_headers", "answer")


class SubmitOutcome(StrEnum):
    """What came of a submission. The values are those of the script."""

    ACCEPTED = "accepted"
    SAME = "same"
    DIFFERS = "differs"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came of a submission. `id` is the job that the client has now, or that its key stands for."""

    outcome: SubmitOutcome
    id: str


@dataclass(frozen=True, slots=True)
class Totals:
    """The open jobs of a shard, and the bytes of all jobs in it."""

    jobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BegunJobs:
    """Jobs that a worker has begun, and how many of the entries that it named are settled by that."""

    jobs: tuple[TakenJob, ...]
    handled: int


class Shard:
    """The jobs of one service in one Redis."""

    def __init__(self, connection: RedisConnection) -> None:
        self.connection = connection
        self._prefix = connection.prefix
        self._log: Any = structlog.get_logger().bind(redis=str(connection.url))

    def __repr__(self) -> str:
        return f"<Shard {self.connection.url}>"

    async def identity(self) -> ShardIdentity:
        """This Redis' name and secret, which the first to ask gives it. Raises UnsuitableRedisError."""
        key, new = f"{self._prefix}shard", new_shard_identity()
        kept: bytes | None = await self._command("HGET", key, "identity")
        if kept is None:  # a Redis that is full refuses to set it, also where it is set
            # One value, set once: two fields could come from two processes.
            await self._command("HSETNX", key, "identity", new.name.encode() + b":" + new.secret)
            kept = await self._command("HGET", key, "identity")
        name, colon, secret = (kept or b"").partition(b":")
        if not (name.isascii() and name and colon and secret):
            raise UnsuitableRedisError(f"the key {key} of {self.connection.url} is not as tfleet writes it")
        return ShardIdentity(name.decode("ascii"), secret)

    async def submit(self, job_id: str, job: NewJob, limits: JobLimits) -> Submitted:
        """Store a job under this id, and queue it. With an Idempotency-Key the id may be that of an earlier
        job.
        """
        request, target, times = job.request, job.target, job.times
        reply = await self.connection.run(
            SUBMIT,
            *(job_id, target.model, target.version, target.stream),
            *(times.timeout_ms, times.keep_ms),
            *(request.target, json.dumps(dict(request.headers)), request.body, _digest(job)),
            *(hashlib.sha256(job.key.encode()).hexdigest() if job.key else "", job.callback),
            *(limits.max_jobs, limits.max_bytes),
        )
        return Submitted(SubmitOutcome(reply[0].decode()), reply[1].decode())

    async def open_stream(self, stream: str) -> None:
        """Say that the stream is in use, and make it with its group if they are not there."""
        await self.connection.run(OPEN_STREAM, stream)

    async def begin(
        self, worker: str, stream: str, entries: Sequence[tuple[str, str]], most_bytes: int = MOST_BEGUN_BYTES
    ) -> BegunJobs:
        """Mark what a worker has read (entry and id of each) as running, as far as the bodies have
        `most_bytes` together, but at least one. Those past their deadline are settled, and are not in the
        result.
        """
        if not entries:
            return BegunJobs((), 0)
        flat = [text for pair in entries for text in pair]
        handled, rows = await self.connection.run(BEGIN, worker, stream, most_bytes, *flat)
        return BegunJobs(tuple(map(_taken, rows)), int(handled))

    async def renew(self, worker: str, stream: str, entries: Sequence[str]) -> frozenset[str]:
        """Keep these entries with this worker. Returns those that it has lost."""
        lost = await self.connection.run(RENEW, worker, stream, *entries) if entries else []
        return frozenset(entry.decode() for entry in lost)

    async def has_abandoned(self, stream: str, visibility_ms: int) -> bool:
        """Whether there is a job that `reclaim` would take."""
        idle = ("IDLE", visibility_ms, "-", "+", 1)
        try:
            return bool(await self._command("XPENDING", self._prefix + stream, GROUP, *idle))
        except NoGroupError:
            return False

    async def reclaim(self, worker: str, stream: str, visibility_ms: int) -> tuple[str, str] | None:
        """Take one job that nobody has renewed for that long: its entry and id; None if there is none."""
        arguments = (worker, stream, visibility_ms, DEAD_AT, KEEP_DEAD_MS)
        found = await self.connection.run(RECLAIM, *arguments)
        return (found[0].decode(), found[1].decode()) if found else None

    async def finish(self, job: TakenJob, stream: str, answer: JobAnswer) -> bool:
        """Store the answer of a job. False where it has one already, or is not to have one any more."""
        headers = json.dumps(dict(answer.headers))
        arguments = (job.id, stream, job.entry, answer.status, headers, answer.body)
        return bool(await self.connection.run(FINISH, *arguments))

    async def put_back(self, worker: str, stream: str, entry: tuple[str, str], *, tried: bool) -> bool:
        """Queue a job again (its entry and id) that was not computed. `tried` is whether the worker has begun
        to compute it: then it runs alone. False if the worker has it no more.
        """
        arguments = (worker, stream, *entry, int(tried), DEAD_AT, KEEP_DEAD_MS)
        return bool(await self.connection.run(PUT_BACK, *arguments))

    async def leave(self, worker: str, stream: str) -> bool:
        """Remove a worker that ends. False if it still has jobs: then it stays, and others reclaim them."""
        return bool(await self.connection.run(LEAVE, worker, stream))

    async def cancel(self, job_id: str) -> JobState | None:
        """End an open job, or forget another one. Returns the state that it had; None if there is no such."""
        return _state(await self.connection.run(CANCEL, job_id, ""))

    async def drop(self, job_id: str) -> JobState | None:
        """Forget a job if it is dead. Returns the state that it had; None if there is no such."""
        return _state(await self.connection.run(CANCEL, job_id, JobState.DEAD.value))

    async def expire(self) -> int:
        """Settle and forget what is due, a hundred of each at the most. Returns how many there were."""
        return int(await self.connection.run(EXPIRE, _EXPIRED_AT_ONCE))

    async def tidy(self, idle_ms: int = IDLE_MS) -> None:
        """Remove workers and streams that have not been heard of for so long, some at a time."""
        await self.connection.run(TIDY, idle_ms, _TIDIED_AT_ONCE)

    async def take_callbacks(self, most: int, try_ms: int) -> list[tuple[str, str]]:
        """Take callbacks that are due: id and URL of each. They are due again later, until `end_callback`."""
        found = await self.connection.run(TAKE_CALLBACKS, most, MOST_CALLBACK_TRIES, try_ms)
        return [(job_id.decode(), url.decode()) for job_id, url in found]

    async def end_callback(self, job_id: str, *, received: bool) -> None:
        """The callback of a job was received, and is not sent again; or it was not, and this is counted."""
        await self.connection.run(END_CALLBACK, job_id, int(received))

    async def put_off_callback(self, job_id: str, ms: int) -> None:
        """A callback that was taken is not sent now."""
        await self.connection.run(PUT_OFF_CALLBACK, job_id, ms)

    async def retry(self, job_id: str, timeout_ms: int) -> JobState | None:
        """Queue a job again if it is dead. Returns the state that it had; None if there is no such."""
        return _state(await self.connection.run(RETRY, job_id, timeout_ms))

    async def recount(self) -> Totals:
        """Count jobs and bytes anew."""
        return Totals(*map(int, await self.connection.run(RECOUNT)))

    async def totals(self) -> Totals:
        """The open jobs, and the bytes of all."""
        found = await self._command("HMGET", f"{self._prefix}totals", "jobs", "bytes")
        return Totals(*(int(one or 0) for one in found))

    async def stats(self) -> ShardStats:
        """The figures for metrics."""
        return read_stats(await self.connection.run(STATS))

    async def read(self, job_id: str, *, with_answer: bool = True) -> JobRecord | None:
        """A job as it is now; None if there is no such job."""
        names = (*_FIELDS, *(_ANSWER_FIELDS if with_answer else ()))
        values = await self._command("HMGET", f"{self._prefix}job:{job_id}", *names)
        try:
            return _record(job_id, dict(zip(names, values, strict=True)))
        except ValueError:
            self._log.warning("a job is not as tfleet writes it, and taken for forgotten", job=job_id)
            return None

    async def answer_bytes(self, job_id: str) -> int:
        """How large the body of a job's answer is; 0 without one."""
        return int(await self._command("HSTRLEN", f"{self._prefix}job:{job_id}", "answer"))

    async def answer_status(self, job_id: str) -> int | None:
        """The status of a job's answer, without the rest of it."""
        found: bytes | None = await self._command("HGET", f"{self._prefix}job:{job_id}", "status")
        return int(found) if found is not None and found.isdigit() else None

    async def list(self, *, dead: bool = False, most: int = 100) -> list[JobRecord]:
        """The open jobs by their deadline, or the dead ones, the oldest first. Without their answers."""
        key = f"{self._prefix}{'dead' if dead else 'open'}"
        ids = await self._command("ZRANGE", key, 0, most - 1)
        found = [await self.read(each.decode(), with_answer=False) for each in ids]
        return [record for record in found if record is not None]

    async def _command(self, *parts: str | bytes | int) -> Any:
        return await self.connection.command(*parts)


def _digest(job: NewJob) -> str:
    """What tells two requests with the same Idempotency-Key apart. It is of what the client has sent: a
    label, or the default model, may be another version by the time that the request is sent again.
    """
    headers = sorted((name, value) for name, value in job.request.headers.items() if name != REQUEST_ID)
    whole = hashlib.sha256(json.dumps((job.asked, headers, job.callback)).encode())
    whole.update(job.request.body)
    return whole.hexdigest()


def _state(reply: bytes | None) -> JobState | None:
    return None if reply is None else JobState(reply.decode())


def _headers(text: bytes | str) -> dict[str, str]:
    """Raises ValueError."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(text)
    return found


def _taken(row: Sequence[Any]) -> TakenJob:
    job_id, entry, target, headers, body, left_ms, deliveries = row
    try:
        request = JobRequest(target.decode(), _headers(headers), body)
    except ValueError:
        request = UNREADABLE
    return TakenJob(job_id.decode(), entry.decode(), request, int(left_ms), int(deliveries))


def _record(job_id: str, found: Mapping[str, bytes | None]) -> JobRecord | None:
    if found["state"] is None:
        return None

    def text(name: str) -> str:
        return (found[name] or b"").decode()

    answer = None
    if found.get("status") is not None:
        headers = _headers(text("answer_headers"))
        answer = JobAnswer(int(text("status")), headers, found["answer"] or b"")
    return JobRecord(
        job_id,
        JobState(text("state")),
        JobTarget(text("model"), text("version")),
        JobMoments(*(int(text(name) or 0) for name in ("submitted_ms", "deadline_ms", "settled_ms"))),
        JobDelivery(text("worker"), int(text("deliveries") or 0)),
        body_bytes=int(text("body_bytes")),
        reason=text("reason"),
        answer=answer,
    )
