from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tfleet.bulk.spark.problems import explained, line_of, warnings_of
from tfleet.bulk.spark.settings import Answers


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            "PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.11 "
            "than that in driver: 3.12, PySpark cannot run with different minor versions.",
            "the executors run Python 3.11, and the driver 3.12",
        ),
        (
            "...\nModuleNotFoundError: No module named 'tfleet.bulk'\n",
            "the executors' Python lacks the module tfleet",
        ),
        ('java.io.IOException: Cannot run program "python9": error=2', "the executors have no python9"),
        (
            "x\ntfleet.bulk.errors.CannotScoreError: m: is another model here\n\n\tat org...",
            "m: is another model here",
        ),
        ("something else", None),
    ],
)
def test_what_spark_says_becomes_one_line(said: str, wanted: str | None) -> None:
    found = explained(said)
    assert found is None if wanted is None else found is not None and found.startswith(wanted)
    assert "\n" not in (found or "")


def test_other_errors_are_their_first_exception() -> None:
    text = (
        "An error occurred while calling o74.collectToPython.\n"
        ": org.apache.spark.SparkException: Job aborted\n\tat x\n"
        "Caused by: java.io.IOException: No space left on device\n"
    )
    assert line_of(text) == "No space left on device"
    assert (
        line_of("[PATH_NOT_FOUND] Path does not exist: x\nmore") == "[PATH_NOT_FOUND] Path does not exist: x"
    )


def answers(kind: pa.DataType, *, images: bool) -> Answers:
    return Answers(pa.schema([]), pa.schema([("content", kind)]), None, None, images)


def conf(**settings: str) -> Any:
    return lambda name, default: settings.get(name.rpartition(".")[2], default)


def test_settings_that_do_harm_are_warned_of() -> None:
    (found,) = warnings_of(conf(memory="1g"), answers(pa.float32(), images=False))
    assert "spark.executor.memoryOverhead" in found
    (found,) = warnings_of(conf(), answers(pa.binary(), images=True))
    assert "spark.sql.execution.arrow.maxBytesPerBatch to 67108864" in found


def test_other_settings_are_not() -> None:
    assert warnings_of(conf(maxBytesPerBatch="1000000"), answers(pa.binary(), images=True)) == []
    assert warnings_of(conf(), answers(pa.string(), images=True)) == []
    assert warnings_of(conf(), answers(pa.binary(), images=False)) == []
