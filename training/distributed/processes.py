"""Run the processes of a run on this machine, and end them all when one fails.

Rules:
- Each leads a session. Its end is that of the process itself, not of its output: what it started may
  hold that open. Whatever is left in its process group is killed then.
- Of several that end at once the one that is named has failed by itself: others end because they lost it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from tfleet.runtime.child_process import ExitStatus, OutputPipe
from tfleet.runtime.parent_death import dying_with_parent
from tfleet.training.distributed.errors import StoppedError, TrainingFailedError
from tfleet.training.distributed.rank_job import LOST_PEER, RankJob

COMMAND: Final = (sys.executable, "-P", "-u", "-m", "tfleet.training.distributed.rank_main")
# The stack that JAX prints as it aborts, and that its processes are connected.
_OF_JAX: Final = re.compile(r"\s*@ +0x|\*\*\* |\[Gloo\] Rank")
_OVERWRITTEN: Final = re.compile(r".*[\r\b]")
_MAX_SHOWN: Final = 300
_JOINING: Final = "CoordinationService/RegisterTask"  # JAX was still waiting for the others
_KEPT_LINES: Final = 20
_SETTLE_S: Final = 1.0
_TERMINATE_S: Final = 3.0
_OUTPUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class RankEnd:
    """How a process ended, and the last lines that it wrote."""

    rank: int
    status: ExitStatus
    last_lines: tuple[str, ...]

    @property
    def failed(self) -> bool:
        return self.status.returncode != 0

    @property
    def lost_peer(self) -> bool:
        """Whether it ended because another one had, as far as it knows: JAX ends its process by SIGABRT."""
        return self.status.returncode in {LOST_PEER, -signal.SIGABRT}


class RankProcess:
    """A started process. `ended` must be awaited, whatever becomes of it."""

    def __init__(
        self, rank: int, process: asyncio.subprocess.Process, pipe: OutputPipe, lines: deque[str]
    ) -> None:
        self.rank = rank
        self._process = process
        self._pipe = pipe
        self._lines = lines

    @classmethod
    async def start(
        cls,
        command: tuple[str, ...],
        job: RankJob,
        environ: Mapping[str, str],
        show: Callable[[str], None],
    ) -> RankProcess:
        """Start it. `show` gets each line that it writes. Raises OSError."""
        lines: deque[str] = deque(maxlen=_KEPT_LINES)

        def relay(line: str) -> None:
            if _OF_JAX.match(line):
                return
            if line.strip():
                lines.append(_OVERWRITTEN.sub("", line)[:_MAX_SHOWN])  # of a progress bar its last state
            show(line)

        pipe = OutputPipe(relay)
        try:
            process = await asyncio.create_subprocess_exec(
                *dying_with_parent((*command, job.to_json())),
                **pipe.streams(),
                env=environ,
                start_new_session=True,
            )
        except BaseException:
            pipe.close()
            raise
        return cls(job.rank, process, pipe, lines)

    async def ended(self) -> RankEnd:
        """Wait until it has ended. Cancelled, this kills it before it returns."""
        reading = asyncio.create_task(self._pipe.run())
        try:
            code = await self._process.wait()
        except BaseException:
            self.send(signal.SIGKILL)
            await self._process.wait()
            raise
        finally:
            self.send(signal.SIGKILL)
            with suppress(TimeoutError):
                await asyncio.wait_for(reading, _OUTPUT_S)
            self._pipe.close()
        return RankEnd(self.rank, ExitStatus(code), tuple(self._lines))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its process group, if there is one left."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


async def run_ranks(
    jobs: Sequence[RankJob],
    environ: Mapping[str, str],
    show: Callable[[str], None],
    command: tuple[str, ...] = COMMAND,
) -> None:
    """Run these processes until all are through. `show` gets the lines of the first one. `command` is the
    program, which gets its job as JSON.

    Raises TrainingFailedError, StoppedError for SIGINT, SIGTERM and SIGHUP, and OSError; none of the
    processes is left then.
    """
    with _stop_signals() as stopped:
        ranks: list[RankProcess] = []
        ending: set[asyncio.Task[RankEnd]] = set()
        try:
            for job in jobs:
                rank = await RankProcess.start(
                    command, job, _environment(environ, job), _nothing if ranks else show
                )
                ranks.append(rank)
                ending.add(asyncio.create_task(rank.ended()))
            await _until_through(ending, stopped, jobs[0])
        finally:
            await _end_all(ranks, ending)


async def _until_through(
    ending: set[asyncio.Task[RankEnd]], stopped: asyncio.Future[signal.Signals], shown: RankJob
) -> None:
    waiting: set[asyncio.Future[object]] = {stopped, *ending}  # type: ignore[arg-type]
    while len(waiting) > 1:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            raise StoppedError(stopped.result())
        ends = [task.result() for task in ending if task in done]
        if any(end.failed for end in ends):
            raise TrainingFailedError(_reason(await _culprit(ends, ending), shown))


async def _culprit(ends: list[RankEnd], ending: set[asyncio.Task[RankEnd]]) -> RankEnd:
    """The process that failed first, as far as can be told."""
    failed = [end for end in ends if end.failed]
    if all(end.lost_peer for end in failed):
        done, _ = await asyncio.wait(ending, timeout=_SETTLE_S)
        failed += [task.result() for task in done if task.result().failed]
    return next((end for end in failed if not end.lost_peer), failed[0])


def _reason(end: RankEnd, shown: RankJob) -> str:
    which = f"process {end.rank} of {shown.processes} (from 0)"
    if not end.lost_peer:
        said = f"{which} ended with {end.status}"
    elif any(_JOINING in line for line in end.last_lines):
        said = f"{which} waited in vain for the others: see --join-timeout"
    else:
        said = f"{which} has lost another one: see what that one wrote"
    said = f"{said}; nothing was exported"
    if end.rank == shown.rank or not end.last_lines:  # its lines stand above
        return said
    return "\n  ".join((f"{said}. Its last lines:", *end.last_lines))


async def _end_all(ranks: Sequence[RankProcess], ending: set[asyncio.Task[RankEnd]]) -> None:
    """Leave no process. Each gets a moment to end by itself."""
    running = {task for task in ending if not task.done()}
    if running:
        for rank in ranks:
            rank.send(signal.SIGTERM)
        _, running = await asyncio.wait(running, timeout=_TERMINATE_S)
    for task in running:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def _environment(environ: Mapping[str, str], job: RankJob) -> dict[str, str]:
    """What Keras and JAX read of a process's environment."""
    of_keras = {
        "KERAS_BACKEND": "jax",
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": job.coordinator,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(job.processes),
        "KERAS_DISTRIBUTION_PROCESS_ID": str(job.rank),
    }
    # Sets of texts have another order in each process without it.
    return {"JAX_PLATFORMS": "cpu", **environ, **of_keras, "PYTHONHASHSEED": str(job.seed)}


def _nothing(_: str) -> None:
    """Show nothing: the lines of the first process are enough."""


@contextmanager
def _stop_signals() -> Iterator[asyncio.Future[signal.Signals]]:
    """The first signal that asks this program to stop. Under `nohup` SIGHUP stays ignored."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[signal.Signals] = loop.create_future()

    def arrived(number: signal.Signals) -> None:
        if not came.done():
            came.set_result(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        loop.add_signal_handler(number, arrived, number)
    try:
        yield came
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        came.cancel()
