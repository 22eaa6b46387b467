"""The file in which the embedded registry keeps its keys and values. All of it blocks: call it in a thread.

The rules:

- The file is always whole. A change is written to a second file, which takes the place of the first one when
  it is on the disk.
- One process at a time has the folder: it locks the folder itself, so that no lock is left behind.
- Nothing is made before the first key is written.
- A file that can't be read is never taken for an empty one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from tfleet.discovery.embedded.errors import RefusedRequestError
from tfleet.discovery.embedded.key_value_format import (
    MAX_FILE_BYTES,
    BadFormatError,
    NewerFormatError,
    dump_key_values,
    parse_key_values,
)
from tfleet.discovery.embedded.key_values import KeyValues

FILE_NAME: Final = "keys.json"
_NEW_FILE: Final = "keys.json.new"
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600  # a plan names models and versions, and other programs may keep secrets here
_OPTION: Final = "--registry-data-dir"


class KeyValueFileError(Exception):
    """The registry can't start with this file. The message is one line that says what to do."""


class KeysNotSavedError(RefusedRequestError):
    """The change can't be saved, so it is not made."""

    status = 500


class KeyValueFile:
    """The file `keys.json` in a folder. Call `load` once, and then one method at a time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._folder = folder
        self._locked: int | None = None
        """The descriptor of the folder, which holds the lock; None while there is no folder."""

    def __repr__(self) -> str:
        return f"<KeyValueFile {self.path} locked={self._locked is not None}>"

    def load(self) -> KeyValues | None:
        """Lock the folder and read the file; None if there is none. Raises KeyValueFileError."""
        try:
            return self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> KeyValues | None:
        try:
            self._locked = _open_locked(self._folder)
            content = _content(self._locked)
        except FileNotFoundError:
            return None
        except BlockingIOError as error:
            raise KeyValueFileError(self._taken()) from error
        except OSError as error:
            raise KeyValueFileError(
                f"the registry's keys in {self._folder} can't be read: {error.strerror}; see {_OPTION}"
            ) from error
        try:
            return parse_key_values(content)
        except NewerFormatError as error:
            raise KeyValueFileError(
                f"{self.path} is of a newer tfleet: {error}: use that one, or move the file away to "
                "start without keys"
            ) from error
        except BadFormatError as error:
            raise KeyValueFileError(
                f"{self.path} is damaged: {error}: restore a copy of it, or move it away to "
                "start without keys"
            ) from error

    def save(self, key_values: KeyValues) -> None:
        """Write the file. When this returns it is on the disk. Raises KeysNotSavedError."""
        try:
            if self._locked is None:
                self._locked = self._made()
            _replace(self._locked, key_values)
        except BlockingIOError as error:
            raise KeysNotSavedError(self._taken()) from error
        except OSError as error:
            raise KeysNotSavedError(
                f"the keys can't be saved in {self._folder}: {error.strerror}: nothing has changed"
            ) from error

    def close(self) -> None:
        """Give the folder free."""
        if self._locked is not None:
            os.close(self._locked)
            self._locked = None

    def _made(self) -> int:
        """Make the folder and lock it. Raises OSError, or KeysNotSavedError."""
        _make_folder(self._folder)
        locked = _open_locked(self._folder)
        # There was no folder when this registry started, so what is in the file now it has never read.
        if self.path.exists():
            os.close(locked)
            raise KeysNotSavedError(
                f"another registry has written {self.path} meanwhile: restart this one to load it, or choose "
                f"another folder with {_OPTION}"
            )
        return locked

    def _taken(self) -> str:
        return f"another registry uses {self._folder}: stop it, or choose another folder with {_OPTION}"


def _open_locked(folder: Path) -> int:
    """A descriptor of the folder. Raises BlockingIOError if another process has locked it, else OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _content(folder: int) -> bytes:
    descriptor = os.open(FILE_NAME, os.O_RDONLY, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise OSError(0, f"{FILE_NAME} has more than {MAX_FILE_BYTES} bytes")
    return content


def _replace(folder: int, key_values: KeyValues) -> None:
    with contextlib.suppress(FileNotFoundError):  # what a process that was killed has left
        os.unlink(_NEW_FILE, dir_fd=folder)
    descriptor = os.open(_NEW_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(dump_key_values(key_values))
            file.flush()
            os.fsync(descriptor)
        os.rename(_NEW_FILE, FILE_NAME, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):  # it may be what fills the disk
            os.unlink(_NEW_FILE, dir_fd=folder)
        raise
    # If this fails the disk is broken, and a restart may bring the change that was refused.
    os.fsync(folder)


def _make_folder(folder: Path) -> None:
    """Make the folder and those above it, so that they outlive a loss of power."""
    if folder.exists():
        return
    _make_folder(folder.parent)
    folder.mkdir(_FOLDER_MODE, exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
