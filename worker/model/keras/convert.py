"""Convert a Keras file to a SavedModel in a child process. The result is whole or not there.

The child ends with this process, whatever ends it, and after `TIMEOUT_S` at the latest. It has compared the
SavedModel's answers with Keras' own before the folder gets its name.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tfleet.runtime.child_process import ChildProcess, ChildSpec, ExitStatus, OutputPipe
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.file import KerasFile, check_code
from tfleet.worker.model.keras.job import MARK, ConvertJob

TIMEOUT_S: Final = 600.0
"""How long a conversion may take: about 20 s for a small model, a minute or two for one of 500 MB."""

_COMMAND: Final = (sys.executable, "-P", "-m", "tfleet.worker.model.keras.convert_main")
# The weights are in memory several times over. What a small file may need besides is for its activations.
_MEMORY_BYTES: Final = 8 << 30
_MEMORY_PER_BYTE: Final = 16
_KEPT_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Conversion:
    """A SavedModel. `compared` is false where no input could be made up that the model takes."""

    folder: Path
    seconds: float
    compared: bool


def convert(
    file: KerasFile,
    target: Path,
    *,
    trust: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
    timeout_s: float = TIMEOUT_S,
) -> Conversion:
    """Write the SavedModel to the new folder `target`. Raises `ModelError`; nothing is left there then.

    `progress` gets the name of each stage as it begins.
    """
    check_code(file, trust=trust)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent)).absolute()
    except OSError as error:
        raise ModelError(f"{target.parent}: cannot be written to: {error.strerror}") from error
    try:
        job = make_job(file, work, trust=trust)
        answer = _run_child(job, file.path, progress, timeout_s)
        job.target.rename(target)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Conversion(target, answer["seconds"], answer["compared"])


def make_job(file: KerasFile, work: Path, *, trust: bool) -> ConvertJob:
    """What the child is told, with `work` as its folder; a rewritten configuration is written there."""
    source = work / f"source.{file.form}"
    source.symlink_to(file.path.absolute())
    job = ConvertJob(
        source=str(source),
        work=str(work),
        inputs=tuple(info.name for info in file.inputs),
        outputs=tuple(info.name for info in file.outputs),
        rewritten=file.rewritten,
        old_hard_sigmoid=file.old_hard_sigmoid,
        classes=tuple((part.module, part.class_name) for part in file.code if part.module) if trust else None,
        memory_bytes=_MEMORY_BYTES + _MEMORY_PER_BYTE * file.path.stat().st_size,
    )
    if file.rewritten:
        job.config.write_text(json.dumps(file.config), encoding="utf-8")
    return job


@dataclass
class _Messages:
    """What the child has said: its answer, and the last lines that libraries wrote."""

    progress: Callable[[str], None]
    answer: dict[str, Any] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        if not line.startswith(MARK):
            self.other = [*self.other, line][-_KEPT_LINES:] if line.strip() else self.other
            return
        message = json.loads(line.removeprefix(MARK))
        if "stage" in message:
            self.progress(str(message["stage"]))
        else:
            self.answer = message


def _run_child(
    job: ConvertJob, path: Path, progress: Callable[[str], None], timeout_s: float
) -> dict[str, Any]:
    """What the child answers at its end. Raises `ModelError`."""
    messages = _Messages(progress)
    try:
        status = asyncio.run(_child(job, messages, timeout_s))
    except TimeoutError as error:
        raise ModelError(f"{path}: converting the model took more than {timeout_s:g} s") from error
    if "error" in messages.answer:
        raise ModelError(f"{path}: Keras cannot convert the model: {messages.answer['error']}")
    if not messages.answer:
        last = messages.other[-1][:200] if messages.other else "it wrote nothing"
        raise ModelError(
            f"{path}: the process that converts the model ended with {status}; it may have needed more than "
            f"{job.memory_bytes >> 30} GiB of memory; its last line: {last}"
        )
    return messages.answer


async def _child(job: ConvertJob, messages: _Messages, timeout_s: float) -> ExitStatus:
    spec = ChildSpec("convert", (*_COMMAND, job.to_json()))
    async with asyncio.timeout(timeout_s):
        child = await ChildProcess.start(spec, OutputPipe(messages.add))
        return await child.end()
