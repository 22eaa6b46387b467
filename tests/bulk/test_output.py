from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.manifest import MANIFEST, RunPlan
from tfleet.bulk.output import OutputFolder, WrittenPart
from tfleet.bulk.sources.files import InputDigest
from tfleet.bulk.sources.source import InputPlace
from tfleet.bulk.tally import Tally

PLAN = RunPlan({"name": "m", "sha256": "1"}, [InputDigest("f.csv", 1, "2")], {"--top": 1, "--limit": None})
TABLE = pa.table({"x": [1, 2, 3]})
TALLY = Tally(3, 1, {"cat": 2}, {"column 'x': no value": 1}, (0, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OutputFolder]:
    with closing(OutputFolder(tmp_path / "out")) as found:
        yield found


def write(folder: OutputFolder, index: int) -> WrittenPart:
    return folder.write(
        PLAN, index, TABLE, (InputPlace(0, index, 7, 1), InputPlace(0, index + 1, 8, 2)), TALLY
    )


def test_a_part_says_all_that_a_later_run_needs(folder: OutputFolder) -> None:
    assert folder.open(PLAN, resume=False) == []
    written = [write(folder, index) for index in range(3)]
    folder.close()
    assert folder.open(PLAN, resume=True) == written
    content = (folder.path / "part-00002.parquet").read_bytes()
    assert written[2] == WrittenPart(
        "part-00002.parquet", len(content), hashlib.sha256(content).hexdigest(), InputPlace(0, 3, 8, 2), TALLY
    )


def test_readers_see_the_parts_as_one_table(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    parts = [write(folder, index) for index in range(2)]
    folder.finish(PLAN, parts, TALLY + TALLY)
    assert pyarrow.dataset.dataset(folder.path).to_table().to_pydict() == {"x": [1, 2, 3, 1, 2, 3]}


def test_the_manifest_says_what_was_done(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    before = json.loads((folder.path / MANIFEST).read_text())
    part = write(folder, 0)
    folder.finish(PLAN, [part], TALLY)
    after = json.loads((folder.path / MANIFEST).read_text())
    assert before == {
        "manifest": 1,
        "run": PLAN.id,
        "complete": False,
        "model": {"name": "m", "sha256": "1"},
        "inputs": [{"name": "f.csv", "bytes": 1, "sha256": "2"}],
        "settings": {"--top": 1, "--limit": None},
    }
    listed = {"name": part.name, "bytes": part.bytes, "sha256": part.sha256, "rows": 3, "failed": 1}
    assert after == before | {"complete": True, "parts": [listed], "summary": TALLY.document()}


def test_what_a_kill_left_half_written_is_removed(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    write(folder, 0)
    folder.close()
    (folder.path / ".part-00001.parquet.tmp").write_bytes(b"half")
    assert len(folder.open(PLAN, resume=True)) == 1
    assert sorted(each.name for each in folder.path.iterdir()) == [MANIFEST, "part-00000.parquet"]


def test_a_kill_before_the_manifest_is_as_if_nothing_was(folder: OutputFolder) -> None:
    folder.path.mkdir()
    (folder.path / f".{MANIFEST}.tmp").write_text("{")
    assert folder.open(PLAN, resume=False) == []
    assert [each.name for each in folder.path.iterdir()] == [MANIFEST]


def test_a_folder_with_a_run_needs_resume(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    folder.close()
    with pytest.raises(CannotScoreError, match="out: is not empty: give --resume to go on"):
        folder.open(PLAN, resume=False)


def test_the_files_of_somebody_else_are_left_alone(folder: OutputFolder) -> None:
    folder.path.mkdir()
    (folder.path / "thesis.txt").write_text("years of work")
    for resume in (False, True):
        with pytest.raises(CannotScoreError, match=r"another folder$"):
            folder.open(PLAN, resume=resume)
        folder.close()
    assert [each.name for each in folder.path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (replace(PLAN, model={"name": "m", "sha256": "9"}), "the model is another one, or has changed"),
        (replace(PLAN, inputs=[InputDigest("f.csv", 1, "9")]), "f.csv has changed, or is another file"),
        (replace(PLAN, inputs=[*PLAN.inputs, *PLAN.inputs]), "the input had 1 files, and has 2"),
        (replace(PLAN, settings={"--top": 2, "--limit": None}), "--top was 1, and is 2"),
    ],
)
def test_another_run_is_refused_with_the_difference(folder: OutputFolder, other: RunPlan, why: str) -> None:
    folder.open(PLAN, resume=False)
    folder.close()
    with pytest.raises(CannotScoreError, match=f"has another run: {why}"):
        folder.open(other, resume=True)


def test_files_may_have_been_moved(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    folder.close()
    moved = replace(PLAN, inputs=[InputDigest("elsewhere/f.csv", 1, "2")])
    assert folder.open(moved, resume=True) == []


@pytest.mark.parametrize("content", [b"PAR1 broken", None])
def test_a_part_that_is_none_is_refused(folder: OutputFolder, content: bytes | None) -> None:
    folder.open(PLAN, resume=False)
    folder.close()
    path = folder.path / "part-00000.parquet"
    if content is None:
        pq.write_table(TABLE, path)
    else:
        path.write_bytes(content)
    with pytest.raises(CannotScoreError, match=r"part-00000.parquet: is no part of a run"):
        folder.open(PLAN, resume=True)


@pytest.mark.parametrize(
    ("plan", "index"), [(PLAN, 1), (replace(PLAN, model={"name": "m", "sha256": "9"}), 0)]
)
def test_a_part_of_another_run_or_place_is_refused(folder: OutputFolder, plan: RunPlan, index: int) -> None:
    folder.open(PLAN, resume=False)
    part = folder.write(plan, index, TABLE, (InputPlace(), InputPlace(0, 3)), TALLY)
    folder.close()
    (folder.path / part.name).rename(folder.path / "part-00000.parquet")
    with pytest.raises(CannotScoreError, match=r"part-00000.parquet: belongs to another run"):
        folder.open(PLAN, resume=True)


def test_a_gap_between_parts_is_refused(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    for index in range(3):
        write(folder, index)
    folder.close()
    (folder.path / "part-00001.parquet").unlink()
    with pytest.raises(CannotScoreError, match=r"part-00001.parquet: is no part of a run"):
        folder.open(PLAN, resume=True)


def test_a_part_that_cannot_be_written_leaves_nothing(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    (folder.path / "part-00000.parquet").mkdir()  # no file can take its name
    with pytest.raises(RunFailedError, match=r"part-00000.parquet: cannot be written"):
        write(folder, 0)
    assert sorted(each.name for each in folder.path.iterdir()) == [MANIFEST, "part-00000.parquet"]


def test_a_folder_that_cannot_be_made_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        closing(OutputFolder(tmp_path / "file" / "out")) as folder,
        pytest.raises(CannotScoreError, match="file/out: cannot be written: Not a directory"),
    ):
        folder.open(PLAN, resume=False)


def test_a_manifest_that_cannot_be_written_ends_the_run(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    part = write(folder, 0)
    shutil.rmtree(folder.path)
    with pytest.raises(RunFailedError, match=r"_manifest\.json: cannot be written"):
        folder.finish(PLAN, [part], TALLY)


def test_a_part_that_was_damaged_is_refused(folder: OutputFolder) -> None:
    folder.open(PLAN, resume=False)
    folder.finish(PLAN, [write(folder, index) for index in range(3)], TALLY)
    folder.close()
    manifest = (folder.path / MANIFEST).read_bytes()
    path = folder.path / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    content[6] ^= 1  # of the rows: the footer stays as it is
    path.write_bytes(content)
    with pytest.raises(CannotScoreError, match=r"part-00001\.parquet: is not what the run wrote"):
        folder.open(PLAN, resume=True)
    assert (folder.path / MANIFEST).read_bytes() == manifest
    for index in (1, 2):
        (folder.path / f"part-{index:05d}.parquet").unlink()
    folder.close()
    assert len(folder.open(PLAN, resume=True)) == 1
    assert not json.loads((folder.path / MANIFEST).read_text())["complete"]
