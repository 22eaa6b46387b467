from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.bulk.conftest import COLUMNS, IRIS, Scored, flowers, score_argv
from tests.support.environment import users_environment
from tests.support.graphs import write_model
from tests.support.photos import PHOTOS as BY_NAME
from tests.support.tensor_models import write_arithmetic
from tfleet.worker.inference.open_model import load_model
from tfleet.worker.model.find import find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

PHOTOS = sorted(BY_NAME.values())

Score = Callable[..., Scored]


def expected_labels(rows: pa.Table) -> list[str]:
    """What a session answers to all rows at once."""
    model = load_model(find_model(IRIS))
    try:
        values = np.stack([rows[name].to_numpy() for name in COLUMNS], axis=1).astype(np.float32)
        signature = model.session.signature()
        (output,) = model.session.run(signature.name, {signature.inputs[0].name: values}).values()
        assert model.scores is not None
        best = model.scores(output).argmax(axis=1)
        return [model.scores.labels[index] for index in best.tolist()]
    finally:
        model.close()


def test_parquet_and_csv_are_scored_alike(score: Score, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(flowers(20_000))
    rows = pyarrow.csv.read_csv(tmp_path / "rows.csv")
    pq.write_table(rows, tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.parquet"):
        done = score(name, "-o", f"{name}.out", "--model", IRIS, "--part-rows", 5000, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(
            f"output      {name}.out\nrows        20,000: 20,000 scored, 0 failed\n"
        )
    from_csv, from_parquet = (
        pq.read_table(tmp_path / f"{each}.out") for each in ("rows.csv", "rows.parquet")
    )
    assert from_csv.schema.names == ["id", *COLUMNS, "label", "probability", "_error"]
    assert from_csv["label"].to_pylist() == from_parquet["label"].to_pylist() == expected_labels(rows)
    assert from_csv["id"].to_pylist() == [str(number) for number in range(20_000)]
    assert from_parquet["id"].to_pylist() == list(range(20_000))


def test_bad_rows_have_an_error_and_the_exit_code_says_so(score: Score, tmp_path: Path) -> None:
    lines = flowers(1000).splitlines()
    lines[501] = "500,wide,1,1,1"
    lines[701] = "700,1,1"
    lines[801] = "800,inf,1,1,1"  # to which the model answers NaN
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    done = score("rows.csv", "-o", "out", "--model", IRIS, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["scored"], summary["failed"]) == (1000, 997, 3)
    assert sum(summary["labels"].values()) == sum(summary["confidence"]) == 997
    assert summary["errors"] == {
        "column 'sepal_length': … is no float32": 1,
        "the row has … values, and the header … columns": 1,
        "the model's best score is NaN: no label is the best one": 1,
    }
    table = pq.read_table(tmp_path / "out")
    failed = [row for row in table.to_pylist() if row["_error"] is not None]
    assert [row["_error"] for row in failed] == [
        "column 'sepal_length': 'wide' is no float32",
        "the row has 3 values, and the header 5 columns",
        "the model's best score is NaN: no label is the best one",
    ]
    assert {row["label"] for row in failed} == {None}
    assert table.num_rows == 1000


def test_columns_rows_and_labels_can_be_chosen(score: Score, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(flowers(2000))
    options = ("--keep", "id", "--filter", "sepal_length > 4", "--limit", 100, "--top", 2)
    done = score("rows.csv", "-o", "out", "--model", IRIS, *options, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    table = pq.read_table(tmp_path / "out")
    rows = pyarrow.csv.read_csv(tmp_path / "rows.csv").to_pylist()
    assert table["id"].to_pylist() == [str(row["id"]) for row in rows if row["sepal_length"] > 4][:100]
    assert table.schema.names == ["id", "labels", "probabilities", "_error"]
    assert {len(labels) for labels in table["labels"].to_pylist()} == {2}
    assert sum(json.loads(done.stdout)["labels"].values()) == 100


def test_resume_needs_the_same_run(score: Score, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(flowers(100))
    run = ("rows.csv", "-o", "out", "--model", IRIS)
    assert score(*run, "--resume", cwd=tmp_path).returncode == 0
    again = score(*run, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == (
        "tfleet score: out: is not empty: give --resume to go on with the run that is there, "
        "or another folder\n"
    )
    other = score(*run, "--resume", "--limit", 5, cwd=tmp_path)
    assert other.stderr == (
        "tfleet score: out: has another run: --limit was None, and is 5: give another folder\n"
    )
    assert score(*run, "--resume", cwd=tmp_path).returncode == 0
    (tmp_path / "rows.csv").write_text(flowers(100, seed=1))
    changed = score(*run, "--resume", cwd=tmp_path)
    assert changed.stderr.startswith("tfleet score: out: has another run: rows.csv has changed")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("missing.csv",), "missing.csv: there is no such file, and none that it matches"),
        (("rows.csv", "--filter", "id =="), "--filter 'id ==': invalid syntax; it may have columns,"),
        (
            ("notes.txt",),
            "notes.txt: its name does not say what it is: give --format, one of",
        ),
        (("rows.csv", "--signature", "s"), "its model.toml describes the model: remove --signature"),
        (
            ("other.csv",),
            "other.csv lacks the columns 'sepal_length', 'sepal_width', 'petal_length' that the model takes",
        ),
        (("rows.csv", "--keep", "idd"), "--keep names 'idd', which rows.csv does not have; it has 'id', "),
        (
            ("rows.csv", "--memory", "100MB"),
            "MB before the first row, and --memory is 100 MB, of which rows need an eighth and libraries",
        ),
    ],
)
def test_what_can_never_work_is_one_line(
    score: Score, tmp_path: Path, arguments: tuple[str, ...], error: str
) -> None:
    (tmp_path / "rows.csv").write_text(flowers(10))
    (tmp_path / "other.csv").write_text("petal_width\n1\n")
    (tmp_path / "notes.txt").write_text("no rows\n")
    done = score(*arguments, "-o", "out", "--model", IRIS, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tfleet score: ")
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "give --model or --fleet: which model scores the rows?"),
        (
            ("--model", IRIS, "--fleet", "p:1"),
            "give --model or --fleet, and not both: which model scores the rows?",
        ),
        (("--fleet", "p:1", "--cpus", 1), "--cpus is for --model: leave it out, or give it to the workers"),
        (("--model", IRIS, "--concurrency", 2), "--concurrency goes with --fleet, and there is none"),
        (
            ("--fleet", "p:1", "--fleet-model", "/1"),
            "--fleet-model: a version or a label needs a model: of which model is it?",
        ),
    ],
)
def test_options_of_one_model_are_not_for_another(
    score: Score, tmp_path: Path, arguments: tuple[object, ...], error: str
) -> None:
    (tmp_path / "rows.csv").write_text(flowers(10))
    done = score("rows.csv", "-o", "out", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"tfleet score: {error}\n")


@pytest.mark.parametrize(
    ("option", "error"),
    [
        (("--memory", "much"), "'much' is no size: write it as 1GB, 512MB or 2GiB"),
        (("--delimiter", ";;"), "it has to be one character of ASCII"),
        (("--sample", "1.5"), "1.5 is not in the range 0<x<=1"),
    ],
)
def test_a_wrong_option_is_wrong_usage(
    score: Score, tmp_path: Path, option: tuple[str, str], error: str
) -> None:
    done = score("rows.csv", "-o", "out", "--model", IRIS, *option, cwd=tmp_path)
    assert done.returncode == 2
    assert error in done.stderr


def test_a_folder_of_images_is_scored(score: Score, tmp_path: Path) -> None:
    model = write_model(tmp_path / "colours" / "1")
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for path in PHOTOS:
        shutil.copy(path, tmp_path / "photos" / "more")
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "photos" / "notes.txt").touch()
    done = score("photos", "-o", "out", "--model", model, cwd=tmp_path)
    assert done.stderr == (
        "tfleet score: skipped 1 file (1 .txt); name a file on the command line to score it anyway\n"
    )
    assert done.returncode == 1
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert [row["path"] for row in rows] == [
        "photos/broken.png",
        *(f"photos/more/{path.name}" for path in PHOTOS),
    ]
    assert [row["label"] is None for row in rows] == [True, *[False] * len(PHOTOS)]
    pq.write_table(
        pa.table({"photo": [row["path"] for row in rows], "id": range(len(rows))}), tmp_path / "list"
    )
    assert (
        score("list", "-o", "again", "--model", model, "--image-column", "photo", cwd=tmp_path).returncode
        == 1
    )
    again = pq.read_table(tmp_path / "again").to_pylist()
    assert [row["label"] for row in again] == [row["label"] for row in rows]
    assert [row["id"] for row in again] == list(range(len(rows)))


class Wide(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """20,000 numbers for each row, which its signature does not say."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "a")])  # type: ignore[untyped-decorator] # as above
    def zeros(self, a: Any) -> Any:
        width = tf.cast(20_000 + 0 * tf.reduce_sum(a), tf.int32)
        return {"zeros": tf.zeros(tf.stack([tf.shape(a)[0], width]))}


def test_outputs_of_any_size_fill_no_part(score: Score, tmp_path: Path) -> None:
    module = Wide()
    tf.saved_model.save(module, str(tmp_path / "wide" / "1"), signatures=module.zeros)
    (tmp_path / "rows.csv").write_text("a\n" + "1\n" * 400)
    done = score("rows.csv", "-o", "out", "--model", "wide/1", "--memory", "1GB", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    counts = [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "out").glob("part-*"))]
    assert sum(counts) == 400
    # A part is full with 1/64 of the memory, and ends with a piece of a quarter of that.
    assert max(counts) * 80_000 <= 10**9 // 64 * 1.25
    assert pq.read_table(tmp_path / "out" / "part-00000.parquet")["zeros"][0].as_py() == [0.0] * 20_000


_GROWING = """
def grow(outputs):
    if 1000.0 in outputs["sum"]:
        with open("rows.csv", "a") as rows:
            rows.write("1,1\\n")
    return {"sum": outputs["sum"]}
"""


def test_a_file_that_grows_meanwhile_ends_the_run(score: Score, tmp_path: Path) -> None:
    model = write_arithmetic(tmp_path / "m" / "1")
    (model / "post.py").write_text(_GROWING)
    (model / "model.toml").write_text('[output]\nfunction = "post.py:grow"\n')
    (tmp_path / "rows.csv").write_text("a,b\n500,500\n")
    done = score("rows.csv", "-o", "out", "--model", model, "--trust", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith(  # TensorFlow may say something of the processor before
        "tfleet score: rows.csv: has changed since the run began: begin again in another folder; only with "
        "the file as it was, --resume goes on\n"
    )
    assert list((tmp_path / "out").glob("part-*")) == []


def test_images_and_rows_are_not_mixed_up(score: Score, tmp_path: Path) -> None:
    shutil.copy(PHOTOS[0], tmp_path / "cat.jpg")
    done = score("cat.jpg", "-o", "out", "--model", IRIS, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "tfleet score: cat.jpg: is an image, and the model takes rows\n",
    )
    (tmp_path / "rows.csv").write_text("id\n1\n")
    done = score("rows.csv", "-o", "out", "--model", write_model(tmp_path / "m" / "1"), cwd=tmp_path)
    assert done.stderr == (
        "tfleet score: rows.csv lacks the column 'path' or 'image' with paths of images or their bytes; it "
        "has 'id': choose one with --image-column\n"
    )


def test_a_full_disk_ends_the_run_and_another_one_goes_on(score: Score, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(flowers(20_000))
    argv = score_argv("rows.csv", "-o", "out", "--model", IRIS, "--part-rows", 10_000)
    # No file may be longer, which is what a full disk is to a program that writes.
    limited = ["bash", "-c", 'ulimit -f 40; exec "$@"', "bash", *argv]
    done = subprocess.run(
        limited,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=users_environment(),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "tfleet score: out/part-00000.parquet: cannot be written: [Errno 27] File too large: what is written "
        "stays, and --resume goes on\n"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_manifest.json"]
    again = score("rows.csv", "-o", "out", "--model", IRIS, "--part-rows", 10_000, "--resume", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert pq.read_table(tmp_path / "out").num_rows == 20_000
