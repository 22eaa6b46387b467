from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.files import InputFile, check_apart, expand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "sub/c.csv", "_manifest.json", ".hidden", "_temporary/d.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x\n1\n")
    return tmp_path


def names(folder: Path, *arguments: str) -> list[str]:
    found = expand([f"{folder}/{each}" for each in arguments])
    return [str(Path(each.name).relative_to(folder)) for each in found]


def test_a_folder_stands_for_its_files_in_order(folder: Path) -> None:
    assert names(folder, "") == ["a.csv", "b.csv", "sub/c.csv"]


def test_a_link_to_a_folder_is_followed_once(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "e.csv").touch()
    (folder / "sub" / "linked").symlink_to(elsewhere)
    (folder / "sub" / "again").symlink_to(elsewhere)
    (folder / "sub" / "whole").symlink_to(folder)
    assert names(folder, "") == ["a.csv", "b.csv", "sub/c.csv", "sub/again/e.csv"]
    files = expand([str(folder)])
    with pytest.raises(CannotScoreError, match=r"out: lies in the input .*/sub/again, of which the output"):
        check_apart([str(folder)], files, elsewhere / "out")


def test_a_pattern_stands_for_the_files_that_it_matches(folder: Path) -> None:
    assert names(folder, "*.csv") == ["a.csv", "b.csv"]
    assert names(folder, "**/*.csv") == ["_temporary/d.csv", "a.csv", "b.csv", "sub/c.csv"]


def test_arguments_keep_their_order(folder: Path) -> None:
    assert names(folder, "b.csv", "a.csv") == ["b.csv", "a.csv"]


def test_a_name_with_brackets_is_a_name_if_there_is_such_a_file(folder: Path) -> None:
    (folder / "x[1].csv").touch()
    assert names(folder, "x[1].csv") == ["x[1].csv"]


@pytest.mark.parametrize("argument", ["missing.csv", "*.parquet"])
def test_an_argument_without_files_is_refused(folder: Path, argument: str) -> None:
    with pytest.raises(CannotScoreError, match="there is no such file, and none that it matches"):
        names(folder, argument)


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("rows", b"PAR1...", "parquet"),
        ("rows.csv", b"PAR1...", "parquet"),
        ("rows.CSV", b"x\n1\n", "csv"),
        ("rows", b"ARROW1..", "arrow"),
        ("rows.arrows", b"\xff\xff\xff\xff", "arrow"),
        ("rows.ndjson.zst", b"(", "jsonl"),
        ("rows.v2.tsv.gz", b"\x1f\x8b", "csv"),
    ],
)
def test_the_content_says_what_a_file_is_or_else_its_name(
    tmp_path: Path, name: str, content: bytes, form: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert InputFile(str(tmp_path / name)).format(None) == form


def test_a_file_that_nothing_tells_needs_the_option(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("x\n1\n")
    file = InputFile(str(tmp_path / "rows.txt"))
    assert file.format("csv") == "csv"
    with pytest.raises(
        CannotScoreError,
        match="its name does not say what it is: give --format, one of parquet, csv",
    ):
        file.format(None)


def test_the_option_says_more_than_the_content(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("PAR1,PAR2\n1,2\n")
    assert InputFile(str(tmp_path / "rows.csv")).format("csv") == "csv"


@pytest.mark.parametrize("ending", ["jpg", "csv"])
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / os.fsdecode(b"\xff." + ending.encode())
    path.write_text("x\n1\n")
    with pytest.raises(CannotScoreError, match="its name is not UTF-8: rename it"):
        InputFile(str(path)).format(None)


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"1" * 100_000)
    assert InputFile(str(tmp_path / "rows")).digest().sha256 == hashlib.sha256(b"1" * 100_000).hexdigest()


def test_a_pipe_cannot_be_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    (file,) = expand([str(tmp_path / "rows.csv")])
    with pytest.raises(CannotScoreError, match="is a pipe or a device, and a run reads its input twice"):
        file.format(None)


def test_the_output_is_no_part_of_the_input(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("x\n1\n")
    rows = str(tmp_path / "rows")
    check_apart([rows], expand([rows]), tmp_path / "out")
    with pytest.raises(
        CannotScoreError, match=r"lies in the input .*rows, of which the output would be a part"
    ):
        check_apart([rows], expand([rows]), tmp_path / "rows" / "out")
    pattern = f"{rows}/*.csv"
    with pytest.raises(CannotScoreError, match=r"a\.csv: lies in the folder of the output"):
        check_apart([pattern], expand([pattern]), tmp_path)
