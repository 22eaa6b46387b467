"""Classes are folders, and files are told by nothing but their bytes."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from tfleet.contract.names import MAX_BODY_BYTES
from tfleet.training.errors import CannotRetrainError
from tfleet.training.photos import find_photos


def _write(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def test_each_folder_is_a_class_with_all_below(tmp_path: Path) -> None:
    found = find_photos(_write(tmp_path, "roses/a.jpg", "roses/old/b", "tulips/c.webp"))
    assert found.classes == ("roses", "tulips")
    assert [(each.label, each.name) for each in found.files] == [
        ("roses", "roses/a.jpg"),
        ("roses", "roses/old/b"),
        ("tulips", "tulips/c.webp"),
    ]
    assert found.read(found.files[1].name) == b"roses/old/b"
    assert found.passed_over == ()


def test_names_of_classes_are_kept_as_they_are(tmp_path: Path) -> None:
    """TensorFlow's retrain.py made one class of 花 and 木, since it kept only a to z."""
    both = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    names = ["花", "木", "Rosa Alba", "rosa alba", "🌷👩‍🌾", *both]
    found = find_photos(_write(tmp_path, *(f"{name}/1.jpg" for name in names)))
    assert set(found.classes) == set(names)


@pytest.mark.parametrize("names", [[], ["roses/a.jpg"], ["a.jpg", "roses/b.jpg"]])
def test_one_class_is_refused(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CannotRetrainError, match="needs a folder of photographs for each of two classes"):
        find_photos(_write(tmp_path, *names))


_NO_LABELS = (" roses", "ro\nses", "ro\rses", "roses\u00a0", "\ufeffroses", os.fsdecode(b"\xff"))


@pytest.mark.parametrize("name", _NO_LABELS)
def test_a_name_that_is_no_label_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotRetrainError, match="would be no label: give it another name"):
        find_photos(
            _write(tmp_path, "tulips/1.jpg", f"{name}/1.jpg") if name.isprintable() else _odd(tmp_path, name)
        )


def _odd(root: Path, name: str) -> Path:
    (root / name).mkdir(parents=True)
    return root


def test_more_classes_than_a_model_has_are_refused(tmp_path: Path) -> None:
    for number in range(1001):
        _write(tmp_path, f"{number}/a")
    with pytest.raises(CannotRetrainError, match="more than 1,000 folders"):
        find_photos(tmp_path)


def test_what_is_no_photograph_is_told(tmp_path: Path) -> None:
    root = _write(tmp_path, "a/1.jpg", "b/1.jpg", "notes.txt", ".hidden/1.jpg", "a/.DS_Store")
    os.mkfifo(root / "a" / "pipe")
    (root / "a" / "broken").symlink_to(root / "nothing")
    (root / "empty").mkdir()
    (root / "link").symlink_to("n" * 300)
    with (root / "b" / "huge").open("wb") as huge:
        huge.truncate(MAX_BODY_BYTES + 1)
    found = find_photos(root)
    assert [each.name for each in found.files] == ["a/1.jpg", "b/1.jpg"]
    assert found.empty == ("empty",)
    assert {each.path: each.reason for each in found.passed_over} == {
        "notes.txt": "it lies in no folder of a class",
        "empty": "no files were found there, so it is no class",
        "link": "cannot be read: File name too long",
        "a/pipe": "it is no regular file",
        "a/broken": "cannot be read: No such file or directory",
        "b/huge": f"the file has more than the {MAX_BODY_BYTES:,} bytes that an image may have",
    }


def test_links_are_followed_and_cycles_end(tmp_path: Path) -> None:
    root = _write(tmp_path / "photos", "a/1.jpg", "b/1.jpg")
    _write(tmp_path / "elsewhere", "2.jpg")
    (root / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "again").symlink_to(root / "a")
    assert [each.name for each in find_photos(root).files] == ["a/1.jpg", "a/more/2.jpg", "b/1.jpg"]


def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    found = find_photos(_write(tmp_path, "a/1.jpg", "b/1.jpg"))
    (tmp_path / "a/1.jpg").unlink()
    os.mkfifo(tmp_path / "a/1.jpg")
    with pytest.raises(OSError, match="it is no regular file"):
        found.read(found.files[0].name)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CannotRetrainError, match="cannot be read: No such file or directory"):
        find_photos(tmp_path / "nothing")
