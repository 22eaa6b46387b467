"""The folder of a unix socket, which only this user can enter. What killed programs left is removed."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# The whole path of a unix socket has at most 108 bytes on Linux, and 104 on macOS, with a zero at its end.
_MAX_PATH_BYTES: Final = 103
_PREFIX: Final = "tfleet-"
_SOCKET: Final = "pages"
_SHORT_FOLDERS: Final = ("/tmp", "/var/tmp")  # noqa: S108 - what is made there gets a name of its own, and mode 0700
_PRIVATE: Final = 0o700
_MIN_LEFT_S: Final = 60.0
"""A younger folder may be of a program that is about to listen."""


class NoSocketFolderError(Exception):
    """There is no place for the unix socket. The message is one line that says what to set."""


def new_socket_path(candidates: Iterable[str] | None = None) -> Path:
    """A path for a socket, in a new folder of mode 0700: in the first of the candidates where it is short
    enough. Raises NoSocketFolderError.
    """
    reasons = []
    for parent in candidates if candidates is not None else _candidates():
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        except OSError as error:
            reasons.append(f"{parent}: {(error.strerror or str(error)).lower()}")
            continue
        if len(os.fsencode(folder / _SOCKET)) <= _MAX_PATH_BYTES:
            return folder / _SOCKET
        folder.rmdir()
        reasons.append(f"{parent}: its path is too long")
    raise NoSocketFolderError(
        f"no folder for a unix socket ({'; '.join(reasons)}): set TMPDIR to one that is short and writable"
    )


def make_folder_again(path: Path) -> None:
    """Make the folder of this socket where it has gone. Raises OSError, also if it is another user's now."""
    path.parent.mkdir(mode=_PRIVATE, exist_ok=True)
    found = path.parent.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.getuid()
        or stat.S_IMODE(found.st_mode) != _PRIVATE
    ):
        raise PermissionError(errno.EPERM, "it is no private folder of this user", str(path.parent))


def remove_left_behind(parent: Path, now_s: float) -> None:
    """Remove this user's socket folders in which nothing listens any more: their programs were killed."""
    due_s = now_s - _MIN_LEFT_S
    with contextlib.suppress(OSError):
        for folder in parent.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):  # another program may be removing it too
                if _is_left_behind(folder, due_s):
                    (folder / _SOCKET).unlink()
                    folder.rmdir()


def _is_left_behind(folder: Path, due_s: float) -> bool:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mtime > due_s:
        return False
    path = folder / _SOCKET
    if list(folder.iterdir()) != [path] or not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        return asking.connect_ex(os.fsencode(path)) == errno.ECONNREFUSED


def _candidates() -> Iterable[str]:
    with contextlib.suppress(OSError):  # no usable folder at all
        yield tempfile.gettempdir()
    yield from _SHORT_FOLDERS
