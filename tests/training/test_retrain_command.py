"""`tfleet retrain`, as a user runs it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import users_environment
from tests.support.forked_workers import ForkedWorkers
from tests.support.hostile_images import made
from tests.support.waiting import eventually_sync
from tests.training.drawn_photos import Retrained, draw_photos, drawn

pytestmark = pytest.mark.process  # they load TensorFlow

Retrain = Callable[..., Retrained]
_BOMBS = ("a GIF's frame of 60,000 x 60,000", "JPEG that states 64 megapixels and has none")


def _report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def _splits(folder: Path) -> dict[str, str]:
    return {each["sha256"]: each["split"] for each in _report(folder)["photos"]}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of 24 whose names retrain.py took for one, a class of 3, and what lies about in folders."""
    root = draw_photos(
        tmp_path / "photos", {"花": ("ellipse", 24), "木": ("stripes", 24), "three": ("rectangle", 3)}
    )
    (root / "花" / "webp.jpeg").write_bytes(drawn("ellipse", 100, "WEBP"))
    (root / "花" / "0.avif").write_bytes(drawn("ellipse", 101, "AVIF"))  # decoded in another process
    for number, name in enumerate(_BOMBS):
        (root / "木" / f"bomb{number}").write_bytes(made(name))
    (root / "木" / "clear.png").write_bytes(drawn("stripes", 100, "PNG", "RGBA"))
    (root / "木" / "notes.jpg").write_text("no photograph")
    (root / "木" / "half.jpg").write_bytes(drawn("stripes", 101)[:700])
    return root


def test_a_folder_becomes_a_model_and_grows(retrain: Retrain, photos: Path, tmp_path: Path) -> None:
    """A second run, of the folder in another place, makes the vectors of its new photographs only."""
    first = retrain(photos, "--name", "plants", "--json")
    assert (first.returncode, first.stderr.count("\n")) == (0, 1), first.stderr
    assert "fewer than 20 photographs: three (3)" in first.stderr
    said = json.loads(first.stdout)
    folder = tmp_path / "models" / "plants" / "1"
    assert said["model"] == str(folder)
    assert said["photos"]["total"] == said["new_vectors"] == 24 + 2 + 24 + 1 + 3
    assert (folder / "labels.txt").read_text() == "three\n木\n花\n"
    assert (folder / "output_labels.txt").read_text() == "three\n木\n花\n"
    assert (folder / "output_graph.pb").read_bytes() == (folder / "graph.pb").read_bytes()
    passed_over = {each["path"]: each["reason"] for each in _report(folder)["passed_over"]}
    assert sorted(passed_over) == ["木/bomb0", "木/bomb1", "木/half.jpg", "木/notes.jpg"]
    assert "60000 x 60000 pixels" in passed_over["木/bomb0"]
    assert "cut off" in passed_over["木/half.jpg"]
    assert "not an image" in passed_over["木/notes.jpg"]
    three = [each["split"] for each in _report(folder)["photos"] if each["label"] == "three"]
    assert {"train", "validation"} <= set(three)

    moved = photos.rename(tmp_path / "moved")
    (moved / "花" / "0.jpg").write_bytes(drawn("ellipse", 200))  # another photograph in the place of one
    (moved / "花" / "1.jpg").rename(moved / "花" / "renamed")
    draw_photos(moved, {"three": ("rectangle", 5)}, start=50)
    (cache,) = (tmp_path / "cache").iterdir()
    cache.write_bytes(cache.read_bytes()[:-100])
    second = retrain(moved, "--name", "plants", "--json")
    assert second.returncode == 0, second.stderr
    assert "1 vectors of the cache were damaged" in second.stderr
    said = json.loads(second.stdout)
    assert (said["version"], said["photos"]["total"], said["new_vectors"]) == (2, 59, 5 + 1 + 1)
    before, after = _splits(folder), _splits(folder.parent / "2")
    of_three = {each["sha256"] for each in _report(folder)["photos"] if each["label"] == "three"}
    kept = before.keys() & after.keys() - of_three  # a class of three may move one when it grows
    assert len(kept) == 50
    assert {each: before[each] for each in kept} == {each: after[each] for each in kept}


def test_the_summary_says_what_to_do_next(retrain: Retrain, tmp_path: Path) -> None:
    root = draw_photos(tmp_path / "photos", {"round": ("ellipse", 25), "lines": ("stripes", 25)})
    (root / "lines" / "copy.jpg").write_bytes(drawn("ellipse", 3))
    assert retrain(root, "--name", "shapes").returncode == 0
    done = retrain(root, "--name", "shapes", "--min-confidence", "0.6", "--test", "30")
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["model"] == f"{tmp_path}/models/shapes/2: 2 classes"
    groups = [
        {each["path"] for each in group["photos"]}
        for group in _report(tmp_path / "models/shapes/2")["duplicates"]["listed"]
    ]
    assert any({"lines/copy.jpg", "round/3.jpg"} <= group for group in groups)
    assert "in several files, 1 of them in several classes" in lines["copies"]
    assert lines["serve"] == f"tfleet up --models {tmp_path}/models"
    assert lines["ask"].endswith("/models/shapes")
    assert "tfleet rollout shapes 2 --percent 10 --wait" in done.stdout
    assert "get an answer" in lines["confident"]
    assert (tmp_path / "models/shapes/2/labels.txt").read_text() == "lines\nround\nunknown\n"
    accuracy = _report(tmp_path / "models/shapes/2")["evaluation"]["accuracy"]
    assert accuracy["right"] >= 0.8 * accuracy["total"] > 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "a/b"], "--name 'a/b': use letters, digits"),
        (["--name", "m", "--models", "photos/models"], "lies in the folder of the photographs"),
        (["--name", "m", "--cache", "photos/known"], "lies in the folder of the photographs"),
        (["--name", "m", "--models", "iris/1/graph.pb/models"], "is no folder that can be written to"),
        (["--name", "m", "--validation", "60", "--test", "40"], "they have to be less than 100"),
        (["--name", "m", "--validation", "nan"], "they have to be less than 100"),
        (["--name", "m", "--min-confidence", "nan"], "give a number between 0 and 1"),
        (["--name", "m", "--epochs", "3"], "--epochs goes with --fine-tune"),
        (["--name", "m", "--no-mirror"], "--no-mirror goes with --fine-tune"),
        (["--name", "m", "--fine-tune", "--fleet", "localhost:1"], "--fine-tune runs on this machine"),
        (["--name", "m", "--group-by", "("], "is no regular expression"),
        (["--name", "m", "--min-confidence", "0.5"], "has a class called unknown"),
        (["--name", "m", "--backbone", "iris"], "nothing says which of its tensors has a vector"),
    ],
)
def test_what_can_never_work_is_one_line(
    forked: ForkedWorkers, tmp_path: Path, options: list[str], message: str
) -> None:
    draw_photos(tmp_path / "photos", {"unknown": ("ellipse", 1), "known": ("chord", 1)})
    shutil.copytree(Path(__file__).parents[2] / "worker/models/iris", tmp_path / "iris")
    done = forked.run("retrain", "photos", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert message in done.stderr


def test_photographs_of_too_many_pixels_are_passed_over(retrain: Retrain, tmp_path: Path) -> None:
    root = draw_photos(tmp_path / "photos", {"round": ("ellipse", 3), "lines": ("stripes", 3)})
    done = retrain(root, "--name", "m", "--max-pixels", "100")
    assert done.returncode == 2
    assert "--max-pixels allows 100" in done.stderr


def test_a_class_without_a_readable_photograph_is_told(retrain: Retrain, tmp_path: Path) -> None:
    root = draw_photos(tmp_path / "photos", {"round": ("ellipse", 3), "lines": ("stripes", 3)})
    (root / "texts").mkdir()
    (root / "texts" / "a.jpg").write_text("no photograph")
    (root / "empty").mkdir()
    done = retrain(root, "--name", "m", "--json")
    assert done.returncode == 0
    assert "the model does not know empty, texts: no file there can be read as a photograph" in done.stderr
    assert json.loads(done.stdout)["classes"] == ["lines", "round"]
    shutil.rmtree(root / "round")
    done = retrain(root, "--name", "m")
    assert done.returncode == 2
    assert "two classes at least, and has only one, lines" in done.stderr


def test_ctrl_c_keeps_what_was_made(retrain: Retrain, tmp_path: Path) -> None:
    root = draw_photos(tmp_path / "photos", {"round": ("ellipse", 90), "lines": ("stripes", 90)})
    cache, models = tmp_path / "cache", tmp_path / "models"
    options = ("retrain", root, "--name", "m", "--cache", cache, "--models", models)
    process = subprocess.Popen(
        [sys.executable, "-m", "tfleet", *map(str, options)],
        stderr=subprocess.PIPE,
        env=users_environment(),
        text=True,
    )
    try:
        eventually_sync(
            lambda: sum(each.stat().st_size for each in cache.glob("*")),
            wanted=lambda size: size > 20 * 2600,
            timeout_s=60,
        )
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors.count("\n")) == (130, 1), errors
    assert "interrupted: the vectors that were made are kept" in errors
    assert not models.exists()
    done = retrain(root, "--name", "m", "--json")
    assert 0 < json.loads(done.stdout)["new_vectors"] <= 160


def test_groups_are_kept_together(retrain: Retrain, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for label, shape in (("round", "ellipse"), ("lines", "stripes")):
        (root / label).mkdir(parents=True)
        for number in range(20):
            (root / label / f"plant{number % 5}-{number}").write_bytes(drawn(shape, number))
    assert retrain(root, "--name", "m", "--group-by", "plant[0-9]").returncode == 0
    split_of: dict[str, set[str]] = {}
    for each in _report(tmp_path / "models/m/1")["photos"]:
        split_of.setdefault(Path(each["path"]).name[:6], set()).add(each["split"])
    assert [len(each) for each in split_of.values()] == [1] * 5
    assert len(set().union(*split_of.values())) > 1
