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
    """What tfleet says among Spark's own lines. spark-submit writes it to standard output."""
    lines = (done.stdout + done.stderr).splitlines(True)
    return "".join(line for line in lines if line.startswith("tfleet score:"))


def write_sums(folder: Path, rows: int, files: int = 1) -> None:
    """Rows in a folder; each file is a task."""
    lines = [f"{number},{number},1000" for number in range(rows)]
    lines[77] = "77,wide,1000"
    (folder / "input").mkdir()
    for number in range(files):
        content = ["id,a,b", *lines[number::files]]
        (folder / "input" / f"{number}.csv").write_text("\n".join(content) + "\n")


def check_sums(folder: Path, rows: int) -> None:
    found = pq.read_table(folder / "out").to_pydict()
    assert sorted(map(int, found["id"])) == list(range(rows))
    sums = dict(zip(map(int, found["id"]), found["sum"], strict=True))
    assert sums == {number: None if number == 77 else number + 1000.0 for number in range(rows)}
    assert [error for error in found["_error"] if error] == ["column 'a': 'wide' is no float32"]


def test_a_killed_python_worker_on_a_cluster_costs_no_row(watched: WatchedModel, tmp_path: Path) -> None:
    write_sums(tmp_path, ROWS, files=4)
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
    done = run(score_argv("input", *options, "--json"), tmp_path)
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
    there = ("-o", "out", "--model", IRIS, "--spark", "local[1]", *_QUIET)
    again = run(score_argv("input", *there), tmp_path)
    assert (again.returncode, said(again)) == (
        2,
        "tfleet score: out: is there already: Spark writes a new folder\n",
    )


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """A master and two workers with one core each, as processes. The workers have hosts of their own."""
    port, logs = free_port(), {name: tmp_path / f"{name}.log" for name in ("master", "one", "two")}
    address = f"spark://127.0.0.1:{port}"
    common = ("--webui-port", "0", "-c", "1", "-m", "1g")
    arguments = {
        "master": ("master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"),
        "one": ("worker.Worker", "--host", "127.0.0.1", "-d", str(tmp_path / "1"), *common, address),
        "two": ("worker.Worker", "--host", "127.0.0.2", "-d", str(tmp_path / "2"), *common, address),
    }
    running = []
    for name, (kind, *others) in arguments.items():
        with logs[name].open("w") as log:
            argv = [spark_program("spark-class"), f"org.apache.spark.deploy.{kind}", *others]
            running.append(subprocess.Popen(argv, stdout=log, stderr=log, env=users_environment() | _LOCAL))
    registered = "Successfully registered with master"
    try:
        eventually_sync(
            lambda: all(registered in logs[name].read_text() for name in ("one", "two")), timeout_s=90
        )
        yield address
    finally:
        for process in reversed(running):
            process.terminate()
        for process in reversed(running):
            process.wait(30)


def spark_program(name: str) -> str:
    import pyspark  # noqa: PLC0415 - an extra

    return str(Path(pyspark.__file__).parent / "bin" / name)


def submit(folder: Path, model: str, master: str, *options: str) -> subprocess.CompletedProcess[str]:
    """spark-submit with the two lines of the page."""
    (folder / "score.py").write_text("from tfleet.bulk.submit import main\n\nmain()\n")
    spark = ("--master", master, "--conf", "spark.ui.enabled=false", *options, "score.py")
    argv = [spark_program("spark-submit"), *spark, "input", "-o", "out", "--model", model, "--trust"]
    return run(argv, folder, PYSPARK_PYTHON=sys.executable, PYSPARK_DRIVER_PYTHON=sys.executable)


def test_spark_submit_scores_files(watched: WatchedModel, tmp_path: Path) -> None:
    write_sums(tmp_path, 2000, files=2)
    done = submit(tmp_path, str(watched.folder), "local[2]")
    assert (done.returncode, said(done)) == (1, ""), done.stderr[-3000:]
    check_sums(tmp_path, 2000)
    assert watched.loads <= 2


def test_spark_submit_chooses_the_master(watched: WatchedModel, tmp_path: Path) -> None:
    write_sums(tmp_path, 100)
    done = submit(tmp_path, str(watched.folder), "local[one]")
    assert done.returncode == 2
    what = "org.apache.spark.SparkException: Could not parse Master URL: 'local[one]'"
    assert said(done) == f"tfleet score: --spark spark-submit: {what}\n"


@pytest.mark.skipif("TFLEET_SOAK_SPARK" not in os.environ, reason="`make soak-spark` runs it: a minute")
def test_a_task_that_runs_twice_at_once_gives_its_rows_once(
    master: str, watched: WatchedModel, tmp_path: Path
) -> None:
    write_sums(tmp_path, ROWS, files=4)
    watched.wait_at_2000()
    # Executors work in folders of their own, where there is no such path.
    model = os.path.relpath(watched.folder, tmp_path)
    settings = {"": "true", ".quantile": "0.5", ".multiplier": "1.1", ".minTaskRuntime": "100ms"}
    options = [("--conf", f"spark.speculation{name}={value}") for name, value in settings.items()]
    done = submit(tmp_path, model, master, *(text for option in options for text in option))
    assert (done.returncode, said(done)) == (1, ""), done.stderr[-3000:]
    assert watched.scored.count(2000.0) == 2
    check_sums(tmp_path, ROWS)


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
