"""Options of `tfleet score --spark` that are wrong, and a tfleet without pyspark."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bulk.conftest import IRIS, flowers
from tests.deploy.test_extras import run
from tfleet.deploy.local.plan import PROGRAM

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--spark", "local[1]", "--resume"),
            "--resume is not for --spark: its output is there when all of it is",
        ),
        (("--spark", "local[1]", "--memory", "2GB"), "--memory is not for --spark: executors have"),
        (("--spark", "local[1]", "--filter", "a == 1"), "--filter is not for --spark: filter the table"),
        (("--spark", "local[1]", "--cpus", "2"), "--cpus is not for --spark: a task has spark.task.cpus"),
        (("--spark-conf", "spark.x=1"), "--spark-conf goes with --spark, and there is none"),
        (("--spark", "local[1]", "--spark-conf", "cores=1"), "--spark-conf 'cores=1': write it as"),
    ],
)
def test_wrong_options_are_a_line(
    score: Callable[..., Any], tmp_path: Path, options: tuple[str, ...], line: str
) -> None:
    (tmp_path / "rows.csv").write_text(flowers(2))
    done = score("rows.csv", "-o", "out", "--model", IRIS, *options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"tfleet score: {line}")
    assert done.stderr.count("\n") == 1


def test_an_output_url_is_for_spark(score: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(flowers(2))
    done = score("rows.csv", "-o", "s3://bucket/out", "--model", IRIS, cwd=tmp_path)
    assert done.returncode == 2
    assert "it has to be a folder of this machine" in done.stderr


def test_a_tfleet_without_pyspark_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(flowers(2))
    options = ("-o", str(tmp_path / "out"), "--model", str(IRIS), "--spark", "local[1]")
    done = run(tmp_path, ("pyspark",), *PROGRAM, "score", str(tmp_path / "rows.csv"), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        'tfleet score: --spark needs the extra "spark", and "worker" on the executors: pip install '
        "'tfleet[spark,worker]'\n"
    )
    code = "from tfleet.bulk.spark import score"
    done = run(tmp_path, ("pyspark",), sys.executable, "-c", code)
    assert done.stderr.endswith(
        'needs the extras "spark" and "worker": pip install \'tfleet[spark,worker]\'\n'
    )
