"""What a shard counts, for metrics.

Redis counts, and not the processes: a script changes a job and counts the change, so that each is counted
once, whichever proxy or worker it was, and also if that one dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

ANSWER_BUCKETS_MS: Final = (
    *(5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000),
    *(60_000, 300_000, 1_800_000, 3_600_000),
)
"""The bounds of the histogram of times from acceptance to answer."""


class Counted(StrEnum):
    """What is counted, by the names that scripts use. Settled jobs are counted by their state."""

    ACCEPTED = "accepted"
    FULL = "full"
    DONE = "done"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD = "dead"
    ABANDONED = "abandoned"
    PUT_BACK = "put_back"
    CALLBACK_RECEIVED = "callback_received"
    CALLBACK_FAILED = "callback_failed"
    CALLBACK_GIVEN_UP = "callback_given_up"


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """How many jobs had their answer within each bound of ANSWER_BUCKETS_MS and above the one before it. The
    last number is of those beyond all bounds. `total_ms` is the sum of their times.
    """

    buckets: tuple[int, ...] = (0,) * (len(ANSWER_BUCKETS_MS) + 1)
    total_ms: int = 0


@dataclass(frozen=True, slots=True)
class ShardStats:
    """A shard as it is now, and what it has counted since its first job. `waiting` jobs are with no worker,
    `running` ones with one; `bytes` are those of all bodies and answers.
    """

    waiting: int
    running: int
    dead: int
    bytes: int
    oldest_waiting_ms: int
    counts: Mapping[Counted, int]
    answer_times: AnswerTimes


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What a proxy knows of a shard: its address, whether it answers, and its latest figures, if any."""

    redis: str
    up: bool
    stats: ShardStats | None


def read_stats(reply: Sequence[Any]) -> ShardStats:
    """The figures in a reply of the script `stats`."""
    *numbers, flat = reply
    waiting, running, dead, total_bytes, oldest_ms = map(int, numbers)
    found = {name.decode(): int(number) for name, number in zip(flat[::2], flat[1::2], strict=True)}
    buckets = [found.get(f"bucket{number + 1}", 0) for number in range(len(ANSWER_BUCKETS_MS) + 1)]
    counts = {name: found.get(name.value, 0) for name in Counted}
    times = AnswerTimes(tuple(buckets), found.get("answer_ms", 0))
    return ShardStats(waiting, running, dead, total_bytes, oldest_ms, counts, times)
