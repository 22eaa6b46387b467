"""The limits of a decoder pool, and the settings of one decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

_MIB: Final = 1024 * 1024
DEFAULT_DECODE_TIMEOUT_S: Final = 5.0
_MAX_PROCESSES: Final = 4
_WAITING_PER_PROCESS: Final = 2
"""Small, because each waiting job holds one of the worker's threads, which cheap images need."""
_ANSWER_WITHIN_S: Final = 9.0
"""A second less than the proxy waits for a worker that makes no progress (its --try-timeout)."""
_MAX_AHEAD_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """The command line of a decoder. `socket` and `lifeline` are inherited descriptors: jobs arrive on
    `socket`; `lifeline` is a pipe that reaches its end when the worker ends.
    """

    socket: int
    lifeline: int
    address_space_bytes: int
    nice: int

    def arguments(self) -> list[str]:
        """The settings as command-line arguments."""
        return [f"{name}={value}" for name, value in asdict(self).items()]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> DecoderSettings:
        """Read the settings from command-line arguments. Raises ValueError and TypeError for anything
        else.
        """
        return cls(**{name: int(value) for name, value in (text.split("=") for text in arguments)})


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The limits of one pool.

    - `max_waiting`: jobs that may wait, beyond those that run.
    - `max_ahead_s`: estimated CPU seconds of the jobs ahead of a waiting one; beyond it the job is rejected.
    - `answer_within_s`: seconds from a request's arrival to its answer, and for all images of a request.
      Decoders share the CPUs, so a job that exceeds it may have got little CPU time: it is reported as
      "decoders busy", not as an image that is too costly.
    - `decode_timeout_s`: CPU seconds of a decoder for one job.
    - `address_space_bytes`: of one decoder, including its program.
    - `memory_bytes`: estimated memory of all running jobs. A larger job runs alone.
    - `answer_bytes`: the largest answer that is accepted.
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
        """The defaults for a number of CPUs: decoders for half of them, at least one and at most four."""
        processes = max(1, min(_MAX_PROCESSES, cpus // 2))
        return cls(processes=processes, max_waiting=_WAITING_PER_PROCESS * processes)
