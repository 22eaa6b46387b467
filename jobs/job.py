"""A job as its parts: what is submitted, what a worker gets, what it answers, and what callers see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

OVERHEAD_BYTES: Final = 1024
"""What a job is counted for besides its body and its answer: Redis takes about so much for the rest of it."""


class JobState(StrEnum):
    """The states. The last four are final, but an operator may queue a dead job again."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def is_open(self) -> bool:
        """Whether an answer may still come."""
        return self in {JobState.QUEUED, JobState.RUNNING}


@dataclass(frozen=True, slots=True)
class JobTarget:
    """The version of a model that a job is for."""

    model: str
    version: str

    @property
    def stream(self) -> str:
        """The name of its stream, without the prefix of all keys."""
        return stream_name(self.model, self.version)


def stream_name(model: str, version: str) -> str:
    """The name of the stream of one version of a model, without the prefix of all keys."""
    return f"stream:{model}/{version}"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """The request that a worker is to answer. `target` is a path with its query; the method is POST."""

    target: str
    headers: Mapping[str, str]
    body: bytes


UNREADABLE: Final = JobRequest("", {}, b"")
"""Stands for one that is not as tfleet writes it: a worker answers that it can't be read."""


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Limits of one shard: how many jobs may be open, and how many bytes all jobs and answers may have."""

    max_jobs: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class JobTimes:
    """How long a job may wait for its answer, and for how long its answer is kept."""

    timeout_ms: int
    keep_ms: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is submitted. `asked` is the target as the client sent it. `key` is an Idempotency-Key and
    `callback` a URL; either may be empty.
    """

    request: JobRequest
    target: JobTarget
    times: JobTimes
    asked: str = ""
    key: str = ""
    callback: str = ""


@dataclass(frozen=True, slots=True)
class TakenJob:
    """A job that a worker is to compute. `entry` is its entry in the stream; `left_ms` is the time until its
    deadline; `deliveries` is how many workers have got it, this one included.
    """

    id: str
    entry: str
    request: JobRequest
    left_ms: int
    deliveries: int = 1


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """What the worker answered: an HTTP response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class JobMoments:
    """When a job was submitted, has to be answered, and was settled (0 while it is open). Unix milliseconds
    by the clock of its Redis.
    """

    submitted_ms: int
    deadline_ms: int
    settled_ms: int = 0


@dataclass(frozen=True, slots=True)
class JobDelivery:
    """Which worker has a job, or had it last, and how many have got it."""

    worker: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as callers see it. `answer` is there for a job that is done; `reason` says why a dead one is
    dead.
    """

    id: str
    state: JobState
    target: JobTarget
    moments: JobMoments
    delivery: JobDelivery
    body_bytes: int
    reason: str = ""
    answer: JobAnswer | None = None
