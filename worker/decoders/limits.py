"""What a decoder is told when it is started, on its command line.

How many decoders there are, and what each of them and all together may take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """`socket` and `lifeline` are descriptors that it inherits: jobs come on the one; the other only ends,
    with the worker.
    """

    socket: int
    lifeline: int
    address_space_bytes: int
    nice: int

    def arguments(self) -> list[str]:
        """As they stand on the command line."""
        return [f"{name}={value}" for name, value in asdict(self).items()]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> DecoderSettings:
        """The opposite. Raises ValueError and TypeError for anything else."""
        return cls(**{name: int(value) for name, value in (text.split("=") for text in arguments)})


_MIB: Final = 1024 * 1024
DEFAULT_DECODE_TIMEOUT_S: Final = 5.0
_MOST_PROCESSES: Final = 4
_WAITING_FOR_EACH: Final = 2
"""Whoever waits holds one of the worker's threads, which the cheap images need."""
_ANSWER_WITHIN_S: Final = 9.0
"""A second less than a proxy waits for a worker that makes no progress (its --try-timeout)."""
_MAX_AHEAD_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Of one pool.

    - `max_waiting`: jobs that may wait beyond those that run.
    - `max_ahead_s`: seconds of CPU, by the estimates, that the jobs ahead of one that waits may take.
    - `answer_within_s`: how long a job's request may take in all, from its arrival on. A decoder shares the
      CPUs with others, so what is over then may have had little of them: it is told that all are busy.
    - `decode_timeout_s`: seconds of a decoder's CPU time for one job.
    - `address_space_bytes`: of one decoder, its program included.
    - `memory_bytes`: of all jobs that run, by their estimates. One that is larger runs alone.
    - `answer_bytes`: the largest answer that is taken.
    """

    processes: int
    max_waiting: int
    max_ahead_s: float = _MAX_AHEAD_S
    answer_within_s: float = _ANSWER_WITHIN_S
    decode_timeout_s: float = DEFAULT_DECODE_TIMEOUT_S
    address_space_bytes: int = 1536 * _MIB
    memory_bytes: int = 768 * _MIB
    answer_bytes: int = 512 * _MIB

    @classmethod
    def for_cpus(cls, cpus: int) -> PoolLimits:
        """The defaults on so many CPUs: half of them for the costly images, but no more than four."""
        processes = max(1, min(_MOST_PROCESSES, cpus // 2))
        return cls(processes=processes, max_waiting=_WAITING_FOR_EACH * processes)
