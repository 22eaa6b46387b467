from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tfleet.proxy.admin.socket_folder import (
    NoSocketFolderError,
    make_folder_again,
    new_socket_path,
    remove_left_behind,
)

LATER_S = 61.0


def test_a_folder_with_too_long_a_path_is_skipped(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    found = new_socket_path([str(long), "/tmp"]).parent
    assert found.parent == Path("/tmp")
    found.rmdir()
    assert list(long.iterdir()) == []


def test_without_a_usable_folder_the_error_says_what_to_set(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with pytest.raises(NoSocketFolderError) as caught:
        new_socket_path([str(long), "/nowhere/at-all"])
    assert str(caught.value) == (
        f"no folder for a unix socket ({long}: its path is too long; /nowhere/at-all: no such file or "
        "directory): set TMPDIR to one that is short and writable"
    )


@pytest.fixture
def listening(tmp_path: Path) -> tuple[Path, socket.socket]:
    path = new_socket_path([str(tmp_path)])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return path, listener


def test_a_folder_of_a_killed_proxy_is_removed(listening: tuple[Path, socket.socket]) -> None:
    path, listener = listening
    made_s = path.parent.stat().st_mtime
    remove_left_behind(path.parent.parent, made_s + LATER_S)
    assert path.exists(), "somebody listens"
    listener.close()
    remove_left_behind(path.parent.parent, made_s)
    assert path.exists(), "it is new"
    remove_left_behind(path.parent.parent, made_s + LATER_S)
    assert not path.parent.exists()


def test_a_folder_with_anything_else_is_kept(listening: tuple[Path, socket.socket]) -> None:
    path, listener = listening
    listener.close()
    (path.parent / "mine").touch()
    remove_left_behind(path.parent.parent, path.parent.stat().st_mtime + LATER_S)
    assert path.exists()


def test_a_folder_that_others_can_enter_is_not_used_again(listening: tuple[Path, socket.socket]) -> None:
    path, listener = listening
    listener.close()
    make_folder_again(path)
    path.parent.chmod(0o755)
    with pytest.raises(PermissionError):
        make_folder_again(path)
