from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tfleet.client.images.files import SkippedFiles, Unusable, expand

LONGEST_NAME = "a" * 255


def reader(*chunks: bytes) -> Callable[[int], bytes]:
    left = [*chunks, b""]
    return lambda _n: left.pop(0)


def nothing_is_read(_n: int) -> bytes:
    raise AssertionError("standard input was read")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a/2.PNG", "a/1.jpeg", "c.webp", "d.gif", "e.bmp", "notes.txt", "jpg", "z/y/x.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_is_walked_in_order_of_names_for_images(folder: Path) -> None:
    found = list(expand([str(folder)], nothing_is_read))
    names = ["a/1.jpeg", "a/2.PNG", "b.jpg", "c.webp", "d.gif", "e.bmp", "z/y/x.jpg"]
    assert found == [str(folder / name) for name in names]


def test_readable_formats_are_sent(tmp_path: Path) -> None:
    names = ["a.JFIF", "b.avif", "c.HEIC", "d.jpe"]
    for name in names:
        (tmp_path / name).touch()
    assert list(expand([str(tmp_path)], nothing_is_read)) == [str(tmp_path / name) for name in names]


def test_skipped_files_are_counted(folder: Path) -> None:
    for name in ("1.tif", "2.TIF", "3.svg", "4.a", "5.b", "6.c", "a/.hidden"):
        (folder / name).touch()
    os.mkfifo(folder / "pipe")
    skipped = SkippedFiles()
    assert not skipped
    list(expand([str(folder), str(folder / "notes.txt")], nothing_is_read, skipped))
    assert str(skipped) == ("skipped 9 files (2 .tif, 2 without an ending, 1 .svg, 1 .a, 1 .b, 2 others)")


def test_a_file_that_is_named_is_sent_whatever_it_is_called(folder: Path) -> None:
    named = [str(folder / "notes.txt"), str(folder / "missing.jpg")]
    assert list(expand(named, nothing_is_read)) == named


def test_a_folder_without_images_is_reported(tmp_path: Path) -> None:
    (unusable,) = expand([str(tmp_path)], nothing_is_read)
    assert isinstance(unusable, Unusable)
    assert unusable.name == str(tmp_path)
    assert unusable.reason.startswith("no images in this folder (looked for .jpg, .jpeg, .jpe, .jfif")


def test_an_unreadable_folder_is_reported(tmp_path: Path) -> None:
    """One whose path is too long: root, as whom tests may run, can list every other one."""
    (tmp_path / "b.jpg").touch()
    deepest = make_deep_folders(tmp_path)
    try:
        assert list(expand([str(tmp_path)], nothing_is_read)) == [
            Unusable(deepest, "cannot list this folder: File name too long"),
            str(tmp_path / "b.jpg"),
        ]
    finally:
        shutil.rmtree(tmp_path / LONGEST_NAME)


def make_deep_folders(folder: Path) -> str:
    """Folders in each other, until a path is longer than any may be; this path."""
    path = str(folder)
    above = os.open(folder, os.O_RDONLY)
    while len(path) < 4096:
        os.mkdir(LONGEST_NAME, dir_fd=above)
        here = os.open(LONGEST_NAME, os.O_RDONLY, dir_fd=above)
        os.close(above)
        path, above = f"{path}/{LONGEST_NAME}", here
    os.close(above)
    return path


def test_links_are_listed_and_pipes_and_link_loops_skipped(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "cat.jpg").touch()
    (tmp_path / "circle.jpg").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real" / "cat.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    found = list(expand([str(tmp_path)], nothing_is_read))
    assert found == [str(tmp_path / name) for name in ("broken.jpg", "link.jpg", "real/cat.jpg")]


@pytest.mark.parametrize(
    ("chunks", "names"),
    [
        ((b"a.jpg\nb.jpg\n",), ["a.jpg", "b.jpg"]),
        ((b"a.j", b"pg\n\n", b"b c.jpg"), ["a.jpg", "b c.jpg"]),
        ((b"\xff.jpg\n",), ["\udcff.jpg"]),
        ((), []),
    ],
)
def test_a_dash_reads_file_names_from_standard_input(chunks: tuple[bytes, ...], names: list[str]) -> None:
    assert list(expand(["first.jpg", "-", "last.jpg"], reader(*chunks))) == ["first.jpg", *names, "last.jpg"]


def test_names_are_given_as_they_come() -> None:
    left = [b"a.jpg\n"]
    names = expand(["-"], lambda _n: left.pop())
    assert next(names) == "a.jpg"  # a second read would fail
