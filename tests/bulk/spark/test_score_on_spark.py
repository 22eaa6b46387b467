"""`tfleet score --spark` in processes of its own: on a cluster in one JVM, and on a master with a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.bulk.conftest import IRIS, flowers, score_argv
from tests.bulk.spark.conftest import WatchedModel
from tests.support.environment import users_environment
from tests.support.free_ports import free_port
from tests.support.waiting import eventually_sync

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400), pytest.mark.usefixtures("real_spark")]

ROWS = 30_000
_QUIET = ("--spark-conf", "spark.ui.enabled=false")
_LOCAL = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}
_OTHER = sys.version_info[1] + 1
_PRETENCE = """
import sys
from collections import namedtuple

Version = namedtuple("Version", "major minor micro releaselevel serial")
sys.version_info = Version(3, {minor}, 0, "final", 0)
"""
# A Python whose minor version is another one.
_OTHER_PYTHON = """#!/bin/sh
PYTHONPATH={folder}:$PYTHONPATH exec {python} "$@"
"""


def run(
    argv: Sequence[str], folder: Path, timeout_s: float = 300, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=folder,
        env=users_environment() | _LOCAL | variables,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What tfleet says among Spark's own lines."""
    return "".join(line for line in done.stderr.splitlines(True) if line.startswith("tfleet score:"))


def write_sums(folder: Path, rows: int) -> None:
    lines = [f"{number},{number},1000" for number in range(rows)]
    lines[77] = "77,wide,1000"
    (folder / "rows.csv").write_text("\n".join(["id,a,b", *lines]) + "\n")


def check_sums(folder: Path, rows: int) -> None:
    found = pq.read_table(folder / "out").to_pydict()
    assert sorted(map(int, found["id"])) == list(range(rows))
    sums = dict(zip(map(int, found["id"]), found["sum"], strict=True))
    assert sums == {number: None if number == 77 else number + 1000.0 for number in range(rows)}
    assert [error for error in found["_error"] if error] == ["column 'a': 'wide' is no float32"]


def test_a_killed_python_worker_on_a_cluster_costs_no_row(watched: WatchedModel, tmp_path: Path) -> None:
    write_sums(tmp_path, ROWS)
    watched.kill_at_1000()
    options = (
        "-o",
        "out",
        "--model",
        watched.folder,
        "--trust",
        "--spark",
        "local-cluster[2,1,1024]",
        *_QUIET,
    )
    # Files are cut into tasks of this size, so that both executors have some.
    cut = ("--spark-conf", "spark.sql.files.maxPartitionBytes=100000")
    done = run(score_argv("rows.csv", *options, *cut, "--json"), tmp_path)
    assert (done.returncode, said(done)) == (1, ""), done.stderr[-3000:]
    assert not (watched.logs / "kill").exists()
    check_sums(tmp_path, ROWS)
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["failed"]) == (ROWS, 1)
    assert summary["errors"] == {"column 'a': … is no float32": 1}
    assert 2 <= watched.loads <= 3
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["summary"]["rows"] == ROWS
    again = run(score_argv("rows.csv", *options), tmp_path)
    assert (again.returncode, said(again)) == (
        2,
        "tfleet score: out: is there already: Spark writes a new folder\n",
    )


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """A master and a worker with one core, as processes."""
    import pyspark  # noqa: PLC0415 - an extra

    spark_class = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    of_master = ("master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
    of_worker = ("worker.Worker", "--host", "127.0.0.1", "-c", "1", "-m", "1g", "-d", str(tmp_path / "work"))
    running = []
    for name, (kind, *arguments) in (
        ("master", of_master),
        ("worker", (*of_worker, "--webui-port", "0", address)),
    ):
        with (tmp_path / f"{name}.log").open("w") as log:
            argv = [spark_class, f"org.apache.spark.deploy.{kind}", *arguments]
            running.append(subprocess.Popen(argv, stdout=log, stderr=log, env=users_environment() | _LOCAL))
    try:
        eventually_sync(
            lambda: "Successfully registered with master" in (tmp_path / "worker.log").read_text(),
            timeout_s=90,
        )
        yield address
    finally:
        for process in reversed(running):
            process.terminate()
        for process in reversed(running):
            process.wait(30)


def test_spark_submit_scores_on_a_master_and_its_worker(
    master: str, watched: WatchedModel, tmp_path: Path
) -> None:
    import pyspark  # noqa: PLC0415 - an extra

    write_sums(tmp_path, 2000)
    (tmp_path / "score.py").write_text("from tfleet.bulk.submit import main\n\nmain()\n")
    submit = str(Path(pyspark.__file__).parent / "bin" / "spark-submit")
    spark = ("--master", master, "--conf", "spark.ui.enabled=false", "score.py")
    # Executors work in folders of their own, where there is no such path.
    model = os.path.relpath(watched.folder, tmp_path)
    argv = [submit, *spark, "rows.csv", "-o", "out", "--model", model, "--trust"]
    done = run(argv, tmp_path, PYSPARK_PYTHON=sys.executable, PYSPARK_DRIVER_PYTHON=sys.executable)
    assert (done.returncode, said(done)) == (1, ""), done.stderr[-3000:]
    check_sums(tmp_path, 2000)
    assert watched.loads == 1


def test_executors_with_another_python_are_a_line(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(flowers(5))
    (tmp_path / "sitecustomize.py").write_text(_PRETENCE.format(minor=_OTHER))
    python = tmp_path / "python3.x"
    python.write_text(_OTHER_PYTHON.format(folder=tmp_path, python=sys.executable))
    python.chmod(0o755)
    options = ("-o", "out", "--model", IRIS, "--spark", "local[1]", *_QUIET)
    done = run(score_argv("rows.csv", *options), tmp_path, PYSPARK_PYTHON=str(python))
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert done.returncode == 2, done.stderr[-3000:]
    assert said(done) == (
        f"tfleet score: the executors run Python 3.{_OTHER}, and the driver {ours}: both need the same minor "
        "version: set PYSPARK_PYTHON, or spark.pyspark.python\n"
    )


def test_without_java_there_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(flowers(5))
    argv = score_argv("rows.csv", "-o", "out", "--model", IRIS, "--spark", "local[1]")
    done = run(argv, tmp_path, PATH=str(tmp_path), JAVA_HOME="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "tfleet score: there is no java on the PATH: Spark needs Java 17 or later: apt-get install "
        "openjdk-17-jre-headless, or set JAVA_HOME\n"
    )
