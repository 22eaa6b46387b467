"""What goes wrong between a driver and its executors, in one line. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from tfleet.bulk.spark.settings import Answers

MOST_ARROW_BYTES: Final = 64 * 1024 * 1024
_OURS: Final = re.compile(r"tfleet\.[\w.]+\.\w+Error: (?P<text>.+)")
_MEANINGS: Final = (
    (
        re.compile(r"PYTHON_VERSION_MISMATCH\].*?(?P<executor>3\.\d+).*?(?P<driver>3\.\d+)", re.DOTALL),
        "the executors run Python {executor}, and the driver {driver}: both need the same minor version: set "
        "PYSPARK_PYTHON, or spark.pyspark.python",
    ),
    (
        re.compile(r"ModuleNotFoundError: No module named '(?P<name>\w+)[\w.]*'"),
        "the executors' Python lacks the module {name}: install tfleet[spark,worker] on every machine, or "
        "name the Python that has it with PYSPARK_PYTHON or spark.pyspark.python",
    ),
    (
        re.compile(r'Cannot run program "(?P<program>[^"]+)"'),
        "the executors have no {program}: name a Python that they have with PYSPARK_PYTHON or "
        "spark.pyspark.python",
    ),
    (
        re.compile("port number from pyspark\\.daemon's stdout"),
        "the executors' Python does not start: see what PYSPARK_PYTHON or spark.pyspark.python names",
    ),
    (
        re.compile(r"failed (?P<times>\d+) times.*?Python worker exited unexpectedly \(crashed\)", re.DOTALL),
        "the Python worker of a task died {times} times (spark.task.maxFailures): a row or the model ends "
        "it, or the machine does for want of memory: see the executors' logs, and set "
        "spark.executor.memoryOverhead",
    ),
)
"""Patterns of Spark's errors, and what they mean."""
_CAUSE: Final = re.compile(
    r"^(?:Caused by: )?(?:\w+\.)+(?:\w+)(?:Exception|Error): (?P<text>.+)", re.MULTILINE
)
_MANY_BYTES: Final = "spark.sql.execution.arrow.maxBytesPerBatch"
_PYTHON_MEMORY: Final = "spark.executor.pyspark.memory"


def explained(text: str) -> str | None:
    """What Spark's error means; None for one that is not known."""
    if found := _OURS.search(text):
        return found["text"].strip()
    for pattern, meaning in _MEANINGS:
        if found := pattern.search(text):
            return meaning.format(**found.groupdict())
    return None


def line_of(error: object) -> str:
    """Spark's error in one line: what it means, or else what its first exception says."""
    text = str(error)
    found = _CAUSE.search(text)
    said = found["text"] if found else next(iter(text.splitlines()), "")
    return explained(text) or said


def warnings_of(conf: Callable[[str, Any], Any], answers: Answers) -> list[str]:
    """What in the session's settings will do harm. `conf` gives a setting, or the default."""
    found = []
    if conf(_PYTHON_MEMORY, None) is not None:
        found.append(
            f"{_PYTHON_MEMORY} limits the address space of Python workers, of which TensorFlow reserves far "
            "more than it uses: leave it out, and set spark.executor.memoryOverhead"
        )
    content = [field.name for field in answers.taken if answers.images and _is_bytes(field.type)]
    if content and int(conf(_MANY_BYTES, None) or 2**31 - 1) > MOST_ARROW_BYTES:
        found.append(
            f"the column {content[0]!r} has images, of which Spark sends 10,000 at once: set {_MANY_BYTES} "
            f"to {MOST_ARROW_BYTES}, or score a column of paths"
        )
    return found


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
