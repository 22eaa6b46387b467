from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tfleet.discovery.embedded.key_value_file import KeysNotSavedError, KeyValueFile, KeyValueFileError
from tfleet.discovery.embedded.key_values import KeyValues


def some(value: bytes = b"x") -> KeyValues:
    after = KeyValues(5).put("k", value)
    assert after
    return after


@contextmanager
def opened(folder: Path) -> Iterator[tuple[KeyValueFile, KeyValues | None]]:
    file = KeyValueFile(folder)
    loaded = file.load()
    try:
        yield file, loaded
    finally:
        file.close()


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with opened(folder) as (file, loaded):
        assert loaded is None
        file.save(some())
        file.save(some(b"other"))
    with opened(folder) as (_, loaded):
        assert loaded == some(b"other")


def test_nothing_is_made_before_the_first_save(tmp_path: Path) -> None:
    with opened(tmp_path / "data"):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_gets_no_file_either(tmp_path: Path) -> None:
    with opened(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(tmp_path / "data") as (file, _):
            file.save(some())
    finally:
        os.umask(before)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["keys.json"]


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    left = tmp_path / "keys.json.new"
    left.write_text("half of")
    left.chmod(0o666)
    with opened(tmp_path) as (file, loaded):
        assert loaded is None
        file.save(some())
        assert file.path.stat().st_mode & 0o777 == 0o600
    assert not left.exists()


def test_a_folder_has_one_registry(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(KeyValueFileError) as raised:
        KeyValueFile(tmp_path).load()
    assert str(raised.value) == (
        f"another registry uses {tmp_path}: stop it, or choose another folder with --registry-data-dir"
    )
    with opened(tmp_path):
        pass


def test_of_two_that_started_without_a_folder_one_saves(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with opened(folder) as (first, _), opened(folder) as (second, _):
        first.save(some(b"first"))
        with pytest.raises(KeysNotSavedError, match=f"another registry uses {folder}: stop it"):
            second.save(some(b"second"))
        first.close()
        with pytest.raises(KeysNotSavedError, match="meanwhile: restart this one to load it"):
            second.save(some(b"second"))
    with opened(folder) as (_, loaded):
        assert loaded == some(b"first")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"version": 1,',
            "{file} is damaged: it is not JSON: restore a copy of it, or move it away to",
        ),
        ("", "{file} is damaged: it is not JSON: restore"),
        (
            '{"version": 7}',
            "{file} is of a newer tfleet: it has format 7, and this version of tfleet reads format 1: use "
            "that one, or move the file away to start without keys",
        ),
    ],
)
def test_an_unusable_file_is_never_an_empty_one(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(KeyValueFileError) as raised:
        KeyValueFile(tmp_path).load()
    assert str(raised.value).startswith(said.format(file=file))
    assert file.read_text() == content
    file.unlink()
    with opened(tmp_path) as (_, loaded):
        assert loaded is None, "the lock was given free"


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyValueFileError, match="can't be read: Not a directory; see --registry-data-dir"):
        KeyValueFile(tmp_path / "file").load()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(KeyValueFileError, match="can't be read: Is a directory"):
        KeyValueFile(tmp_path).load()


def test_a_folder_that_was_taken_away_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with opened(folder) as (file, _):
        file.save(some())
        file.path.unlink()
        folder.rmdir()
        with pytest.raises(KeysNotSavedError) as raised:
            file.save(some(b"other"))
    assert str(raised.value) == (
        f"the keys can't be saved in {folder}: No such file or directory: nothing has changed"
    )


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with opened(tmp_path / "data" / "deep") as (file, _):
        (tmp_path / "data").touch()
        with pytest.raises(KeysNotSavedError, match="Not a directory: nothing has changed"):
            file.save(some())


_FULL_DISK = """
import resource, sys
from pathlib import Path
from tfleet.discovery.embedded.key_value_file import KeysNotSavedError, KeyValueFile
from tfleet.discovery.embedded.key_values import KeyValues

file = KeyValueFile(Path(sys.argv[1]))
file.load()
small = KeyValues(5).put("k", b"small")
file.save(small)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    file.save(small.put("big", b"x" * 8192))
except KeysNotSavedError as error:
    print(error.status, error)
file.save(small.put("k", b"again"))
"""


@pytest.mark.process
def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == f"500 the keys can't be saved in {tmp_path}: File too large: nothing has changed\n"
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"], "what fills the disk is removed"
    with opened(tmp_path) as (_, loaded):
        assert loaded
        assert {key: entry.value for key, entry in loaded.entries.items()} == {"k": b"again"}
