"""Run the process that trains. It ends with this one, whatever ends this one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tfleet.runtime.child_process import ChildProcess, ChildSpec, ExitStatus, OutputPipe
from tfleet.training.errors import RetrainFailedError
from tfleet.training.fine_tune.job import MARK, FineTuneJob

_COMMAND: Final = (sys.executable, "-P", "-m", "tfleet.training.fine_tune.tune_main")
_MAX_SHOWN: Final = 200


@dataclass(slots=True)
class _ChildMessages:
    """What the child has said: its answer, and the last line that libraries wrote."""

    report: Callable[[int, int, int], None]
    answer: dict[str, Any] = field(default_factory=dict)
    last: str = "it wrote nothing"

    def add(self, line: str) -> None:
        if not line.startswith(MARK):
            self.last = line.strip()[:_MAX_SHOWN] or self.last
            return
        message = json.loads(line.removeprefix(MARK))
        if "done" in message:
            self.report(message["epoch"], message["done"], message["total"])
        else:
            self.answer = message


def run_child(job: FineTuneJob, report: Callable[[int, int, int], None]) -> dict[str, Any]:
    """What the child answers at its end. `report` gets what `tuning.Report` says.

    Raises RetrainFailedError. Ctrl-C ends the child, and is raised when it is gone.
    """
    messages = _ChildMessages(report)
    try:
        status = asyncio.run(_child(job, messages))
    except OSError as error:
        raise RetrainFailedError(
            f"the process that fine-tunes cannot be started: {error.strerror}"
        ) from error
    if "error" in messages.answer:
        raise RetrainFailedError(f"fine-tuning failed: {messages.answer['error']}")
    if not messages.answer:
        raise RetrainFailedError(
            f"the process that fine-tunes ended with {status}; it may have needed more than "
            f"{job.memory_bytes >> 30} GiB of memory; its last line: {messages.last}"
        )
    return messages.answer


async def _child(job: FineTuneJob, messages: _ChildMessages) -> ExitStatus:
    spec = ChildSpec("fine-tune", (*_COMMAND, job.to_json()))
    child = await ChildProcess.start(spec, OutputPipe(messages.add))
    return await child.end()
