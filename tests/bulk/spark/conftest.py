"""A real Spark, and a model that says how often it was loaded and which rows it has scored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FUNCTION = """
import os
import time
from pathlib import Path

here = Path(__file__).parents[2]  # beside the model: its files are what the digest is of
(here / f"load-{os.getpid()}").touch()


def add_up(outputs):
    with open(here / "rows", "a") as rows:
        rows.write("".join(f"{os.getpid()} {number}\\n" for number in outputs["sum"].tolist()))
    with open(here / "batches", "a") as batches:
        batches.write(f"{len(outputs['sum'])} {max(outputs['sum'].tolist())}\\n")
    if 2000.0 in outputs["sum"] and (here / "wait").exists():
        (here / f"waiting-{os.getpid()}").touch()
        until = time.monotonic() + 120
        while len(list(here.glob("waiting-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
    victim = here / "kill"
    if 1000.0 in outputs["sum"]:
        try:
            victim.unlink()
        except FileNotFoundError:
            pass
        else:
            os.kill(os.getpid(), 9)
    if 1000.0 in outputs["sum"] and (here / "kill-each").exists():
        (here / f"killed-{os.getpid()}").touch()
        os.kill(os.getpid(), 9)
    return {"sum": outputs["sum"]}
"""


@pytest.fixture(scope="session")
def real_spark() -> None:
    """Skip without pyspark and Java; fail with SPARK_REQUIRED=true."""
    missing = [] if find_spec("pyspark") else ["pyspark (make spark)"]
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        missing.append("Java 17 (openjdk-17-jre-headless)")
    if not missing:
        return
    text = f"tests with Spark need {' and '.join(missing)}"
    if os.environ.get("SPARK_REQUIRED") == "true":
        pytest.fail(text)
    pytest.skip(text)


@pytest.fixture(scope="session")
def executors_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which Python workers keep models from URLs."""
    return tmp_path_factory.mktemp("executors")


@pytest.fixture(scope="session")
def spark(real_spark: None, executors_cache: Path) -> Iterator[SparkSession]:
    """A session of `tfleet score` in one JVM: two tasks at a time, of two CPUs each, with three attempts."""
    from tfleet.bulk.spark.session import spark_session  # noqa: PLC0415 - pyspark is an extra

    settings = {"spark.ui.enabled": "false", "spark.task.cpus": "2", "spark.sql.shuffle.partitions": "2"}
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(executors_cache)  # the JVM gives it to Python workers
    with spark_session("local[4,3]", settings, bar=False) as session:
        if before is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = before
        session.sparkContext.setLogLevel("OFF")
        gateway = session.sparkContext._gateway
        yield session
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(30)


@dataclass(frozen=True, slots=True)
class WatchedModel:
    """`sum` of the columns `a` and `b`. What it does is logged in `logs`."""

    folder: Path
    logs: Path

    @property
    def loads(self) -> int:
        """How many processes have loaded it."""
        return len(list(self.logs.glob("load-*")))

    @property
    def scored(self) -> list[float]:
        """The sums of all rows that were scored, without those of the warm-up."""
        lines = (self.logs / "rows").read_text().splitlines()
        return [found for line in lines if (found := float(line.split()[1])) >= 1000]

    @property
    def batches(self) -> list[int]:
        """The rows of each batch, without those of the warm-up."""
        lines = (each.split() for each in (self.logs / "batches").read_text().splitlines())
        return [int(rows) for rows, most in lines if float(most) >= 1000]

    def wait_at_2000(self) -> None:
        """A Python worker that scores a row with the sum 2,000 waits until another one does so, too."""
        (self.logs / "wait").touch()

    def kill_at_1000(self) -> None:
        """The first Python worker to score a row with the sum 1,000 is killed by SIGKILL."""
        (self.logs / "kill").touch()

    def kill_each_at_1000(self) -> None:
        """So is each one."""
        (self.logs / "kill-each").touch()

    @property
    def killed(self) -> int:
        """How many were killed by `kill_each_at_1000`."""
        return len(list(self.logs.glob("killed-*")))


@pytest.fixture
def watched(tmp_path: Path) -> WatchedModel:
    from tests.support.tensor_models import write_arithmetic  # noqa: PLC0415 - TensorFlow takes seconds

    folder = write_arithmetic(tmp_path / "watched" / "1")
    (folder / "watch.py").write_text(_FUNCTION)
    (folder / "model.toml").write_text('[output]\nfunction = "watch.py:add_up"\n')
    return WatchedModel(folder, tmp_path)
