"""`tfleet score --fleet` with a real worker and a real proxy in p2p mode."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from tests.bulk.conftest import IRIS, flowers, most_bytes, score_argv
from tests.support.environment import users_environment
from tests.support.graphs import write_model
from tests.support.photos import PHOTOS
from tests.support.served_model import served_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.timeout(240)

MEMORY_BYTES = 400_000_000
OF_WORKERS = ("tensorflow", "keras", "flask", "multipart", "PIL", "prometheus_client")
HIDE = f"""
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OF_WORKERS!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hidden())
"""


def score(
    *arguments: object, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        score_argv(*arguments),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=cwd,
        env=users_environment() | (environment or {}),
    )


async def test_a_fleet_scores_as_this_process_does(tmp_path: Path) -> None:
    lines = flowers(10_000).splitlines()
    lines[77] = "76,wide,1,1,1"
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    local = await asyncio.to_thread(score, "rows.csv", "-o", "local", "--model", IRIS, cwd=tmp_path)
    assert local.returncode == 1
    # What only workers need is not there: `tfleet[score]` is enough to ask a fleet.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text(HIDE)
    paths = [str(tmp_path / "hidden"), *(path for path in sys.path if path)]
    async with served_model(IRIS, cache=tmp_path / "cache") as ways:
        for name, url in (("p2p", ways.p2p), ("forward", ways.forward)):
            options = ("-o", name, "--fleet", url, "--fleet-model", "iris/1", "--batch-rows", 500)
            done = await asyncio.to_thread(
                score, "rows.csv", *options, cwd=tmp_path, environment={"PYTHONPATH": ":".join(paths)}
            )
            assert (done.returncode, done.stderr) == (1, "")
    ours = pq.read_table(tmp_path / "local").to_pydict()
    probabilities = ours.pop("probability")
    for name in ("p2p", "forward"):
        theirs = pq.read_table(tmp_path / name).to_pydict()
        assert theirs.pop("probability") == [
            None if each is None else pytest.approx(each, abs=1e-4) for each in probabilities
        ]
        assert theirs == ours


async def test_a_fleet_scores_images(tmp_path: Path) -> None:
    model = write_model(tmp_path / "colours" / "1")
    (tmp_path / "photos").mkdir()
    for path in PHOTOS.values():
        shutil.copy(path, tmp_path / "photos")
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "photos" / "notes.txt").touch()
    paths = [f"photos/{path.name}" for path in sorted((tmp_path / "photos").iterdir())]
    paths.remove("photos/notes.txt")
    contents = [(tmp_path / path).read_bytes() for path in paths]
    pq.write_table(pa.table({"image": contents, "number": range(len(paths))}), tmp_path / "bytes.parquet")
    local = await asyncio.to_thread(score, "photos", "-o", "local", "--model", model, cwd=tmp_path)
    assert local.returncode == 1
    async with served_model(model, cache=tmp_path / "cache") as ways:
        for name, inputs, url in (("paths", "photos", ways.p2p), ("bytes", "bytes.parquet", ways.forward)):
            done = await asyncio.to_thread(score, inputs, "-o", name, "--fleet", url, cwd=tmp_path)
            skipped = "skipped 1 file (1 .txt); name a file on the command line to score it anyway"
            assert done.stderr == (f"tfleet score: {skipped}\n" if name == "paths" else "")
            assert done.returncode == 1
    ours = pq.read_table(tmp_path / "local").to_pylist()
    theirs = pq.read_table(tmp_path / "paths").to_pylist()
    by_bytes = pq.read_table(tmp_path / "bytes").to_pylist()
    assert [row["path"] for row in ours] == [row["path"] for row in theirs] == paths
    assert [row["number"] for row in by_bytes] == list(range(len(paths)))
    for row, other, third in zip(ours, theirs, by_bytes, strict=True):
        assert row["label"] == other["label"] == third["label"]
        assert row["_error"] == other["_error"] == third["_error"]
        expected = None if row["probability"] is None else pytest.approx(row["probability"], abs=1e-4)
        assert other["probability"] == third["probability"] == expected
    assert [row["_error"] is None for row in ours] == [path != "photos/broken.png" for path in paths]


async def test_four_tasks_lose_no_row_at_a_busy_worker(tmp_path: Path) -> None:
    """tensorflow/serving#10: four tasks that sent whole partitions at once got UNAVAILABLE."""
    count = 40_000
    for number in range(4):
        (tmp_path / f"{number}.csv").write_text(flowers(count, seed=number))
    limits = ("--threads", "1", "--max-queue", "1", "--max-queue-bytes", "1000000")
    async with served_model(IRIS, *limits, cache=tmp_path / "cache") as ways:

        def task(number: int) -> tuple[int, str, int]:
            options = ("--fleet", ways.p2p, "--batch-rows", count // 4, "--memory", MEMORY_BYTES)
            argv = score_argv(f"{number}.csv", "-o", f"out-{number}", *options)
            with subprocess.Popen(
                argv,
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=users_environment(),
            ) as run:
                most = most_bytes(run)
                assert run.stderr
                return run.wait(), run.stderr.read(), most

        done = await asyncio.gather(*(asyncio.to_thread(task, number) for number in range(4)))
        page = await asyncio.to_thread(lambda: requests.get(f"{ways.worker}/metrics", timeout=30).text)
    assert [(code, err) for code, err, _ in done] == [(0, "")] * 4
    assert max(most for _, _, most in done) < MEMORY_BYTES
    refused = re.findall(
        r'^tfleet_worker_rejected_total{[^}]*"queue-requests"[^}]*} (\S+)$', page, re.MULTILINE
    )
    assert sum(map(float, refused)) > 0
    for number in range(4):
        table = pq.read_table(tmp_path / f"out-{number}", columns=["id", "label", "_error"])
        assert table["id"].to_pylist() == list(map(str, range(count)))
        assert (table["label"].null_count, table["_error"].null_count) == (0, count)


async def test_a_fleet_is_asked_by_another_signature(tmp_path: Path) -> None:
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.float32, name="x")
    module.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[spec])
    module.triple = tf.function(lambda x: {"z": 3 * x}, input_signature=[spec])
    signatures = {"double": module.double, "triple": module.triple}
    tf.saved_model.save(module, str(tmp_path / "sums" / "1"), signatures=signatures)
    (tmp_path / "rows.csv").write_text("x\n1\n2\n")
    async with served_model(tmp_path / "sums" / "1", cache=tmp_path / "cache") as ways:
        fleet = ("--fleet", ways.p2p)
        none = await asyncio.to_thread(score, "rows.csv", "-o", "none", *fleet, cwd=tmp_path)
        assert none.stderr == (
            "tfleet score: sums/1: has several signatures: choose one of 'double', 'triple' "
            "with --signature\n"
        )
        done = await asyncio.to_thread(
            score, "rows.csv", "-o", "out", *fleet, "--signature", "triple", cwd=tmp_path
        )
        assert (done.returncode, done.stderr) == (0, "")
        again = await asyncio.to_thread(
            score, "rows.csv", "-o", "out", *fleet, "--signature", "double", "--resume", cwd=tmp_path
        )
        assert again.stderr == (
            "tfleet score: out: has another run: the model is another one, or has changed: "
            "give another folder\n"
        )
    assert pq.read_table(tmp_path / "out").to_pydict() == {
        "x": [1.0, 2.0],
        "z": [3.0, 6.0],
        "_error": [None] * 2,
    }
