"""Start Spark for `tfleet score --spark`."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.spark.problems import MOST_ARROW_BYTES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SUBMITTED: Final = "spark-submit"
"""The master that stands for the one that spark-submit was given, which only the JVM knows."""
_ARROW_ROWS: Final = 4096
_NEEDED: Final = "Spark needs Java 17 or later: apt-get install openjdk-17-jre-headless, or set JAVA_HOME"


def parse_settings(texts: Sequence[str]) -> dict[str, str]:
    """Spark's settings, of texts such as `spark.executor.cores=4`. Raises CannotScoreError."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.startswith("spark."):
            raise CannotScoreError(f"--spark-conf {text!r}: write it as spark.executor.cores=4")
        found[name] = value
    return found


def check_installed(environ: Mapping[str, str]) -> None:
    """Raise CannotScoreError where there is no pyspark, or no Java, of which Spark says a page."""
    try:
        import pyspark  # noqa: F401, PLC0415 - only to see whether it is there
    except ModuleNotFoundError:
        raise CannotScoreError(
            '--spark needs the extra "spark", and "worker" on the executors: pip install '
            "'tfleet[spark,worker]'"
        ) from None
    home = environ.get("JAVA_HOME")
    if home and not Path(home, "bin", "java").is_file():
        raise CannotScoreError(f"JAVA_HOME is {home}, which has no bin/java: {_NEEDED}")
    if not home and shutil.which("java", path=environ.get("PATH")) is None:
        raise CannotScoreError(f"there is no java on the PATH: {_NEEDED}")


@contextmanager
def spark_session(master: str, settings: Mapping[str, str], *, bar: bool) -> Iterator[SparkSession]:
    """A session on this master, or the SUBMITTED one, which is stopped at the end. Raises CannotScoreError.

    `bar` shows the progress of each stage on standard error.
    """
    check_installed(os.environ)
    # Spark takes `python3` otherwise, which is seldom the Python that has tfleet.
    if "spark.pyspark.python" not in settings:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # It warns of pandas 3, which nothing here uses.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    session = _start(master, _defaults(bar=bar) | dict(settings))
    try:
        session.sparkContext.setLogLevel("ERROR")
        yield session
    finally:
        session.stop()


def _defaults(*, bar: bool) -> dict[str, str]:
    return {
        "spark.app.name": "tfleet score",
        "spark.ui.showConsoleProgress": str(bar).lower(),
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(_ARROW_ROWS),
        "spark.sql.execution.arrow.maxBytesPerBatch": str(MOST_ARROW_BYTES),
    }


def _start(master: str, settings: Mapping[str, str]) -> SparkSession:
    from py4j.protocol import Py4JJavaError  # noqa: PLC0415 - the same
    from pyspark.errors import PySparkRuntimeError  # noqa: PLC0415 - pyspark is an extra, and slow to import
    from pyspark.sql import SparkSession  # noqa: PLC0415 - the same

    builder = SparkSession.builder
    if master != SUBMITTED:
        builder = builder.master(master)
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise CannotScoreError(f"Spark's JVM does not start: {_NEEDED}: {_first_line(error)}") from error
    except Py4JJavaError as error:
        raise CannotScoreError(f"--spark {master}: {_first_line(error.java_exception)}") from error


def _first_line(error: object) -> str:
    return next(iter(str(error).splitlines()), "")
