"""The ticket key file: one or two lines, the first key signs. It is read again when it changes.

The rules:

- At start, an unusable file is an error. While the program runs it changes nothing: the keys in use stay,
  and the log says why, once.
- A change takes effect without a restart. It is detected by modification time, size and inode, which is
  cheap enough for every request. Symbolic links are followed, because containers replace secrets that way.
- A file that was modified less than a second ago is not read yet: it may be half written, and a second
  change within the resolution of the timestamp would be missed.
- A file that is not a regular file, such as a pipe, is read once.
"""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from tfleet.contract.ticket import TicketKeys

_MAX_KEYS: Final = 2
_MIN_CHARS: Final = 32
_MAX_BYTES: Final = 4096
_SETTLED_S: Final = 1.0
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
_HINT: Final = "make one with `openssl rand -hex 32 > {}`"

_Stamp = tuple[int, ...]


class BadKeyFileError(Exception):
    """The keys cannot be read. The message is one line that names the option, the file and what to do."""


@dataclass(frozen=True, slots=True)
class KeyFileState:
    """The keys of a file and the version they were read from, for another process to continue with."""

    path: Path
    keys: TicketKeys
    stamp: _Stamp | None


class KeyFile:
    """The keys as last read. Not thread-safe."""

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.time, *, state: KeyFileState | None = None
    ) -> None:
        """Read the file, or continue from the state of another process. Raises BadKeyFileError."""
        self._path = path
        self._clock = clock
        self._log: Any = structlog.get_logger()
        if state is not None:
            self._stamp, self.keys = state.stamp, state.keys
            return
        self._stamp = _stamp(path)[0]
        self.keys = read_keys(path)
        with contextlib.suppress(OSError):
            if path.stat().st_mode & _OTHERS:
                self._log.warning(
                    "every user of this machine can access the keys in this file", do=f"chmod o= {path}"
                )

    @property
    def state(self) -> KeyFileState:
        """What another process needs to continue from here."""
        return KeyFileState(self._path, self.keys, self._stamp)

    def __repr__(self) -> str:
        return f"<KeyFile {self._path} keys={len(self.keys.secrets)}>"

    def current(self) -> TicketKeys:
        """Return the keys, after reading the file again if it changed. Never raises."""
        stamp, modified_s = _stamp(self._path)
        if stamp == self._stamp or 0 <= self._clock() - modified_s < _SETTLED_S:
            return self.keys
        self._stamp = stamp
        try:
            keys = read_keys(self._path)
        except BadKeyFileError as error:
            self._log.warning("the ticket keys are unchanged", error=str(error))
            return self.keys
        if keys != self.keys:
            self.keys = keys
            self._log.info("ticket keys changed", keys=len(keys.secrets))
        return keys


def read_keys(path: Path, option: str = "--ticket-key-file") -> TicketKeys:
    """Read the keys from the file that `option` names. Raises BadKeyFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadKeyFileError(f"{option} {path}: {reason}; {_HINT.format(path)}") from error
    keys = [line.strip() for line in content.splitlines() if line.strip()]
    if fault := _fault(content, keys):
        raise BadKeyFileError(f"{option} {path}: {fault}; {_HINT.format(path)}")
    return TicketKeys(tuple(keys))


def _fault(content: bytes, keys: list[bytes]) -> str | None:
    if len(content) > _MAX_BYTES or not content.isascii():
        return f"expected one or two lines of ASCII text, at most {_MAX_BYTES} bytes"
    if not 1 <= len(keys) <= _MAX_KEYS:
        return f"expected one or two keys, one on each line, but found {len(keys) or 'none'}"
    if len(min(keys, key=len)) < _MIN_CHARS:
        return f"each key needs at least {_MIN_CHARS} characters"
    return None


def _stamp(path: Path) -> tuple[_Stamp | None, float]:
    """Return what identifies the file's version (None for no regular file), and its modification time in Unix
    seconds.
    """
    try:
        found = path.stat()
    except OSError:
        return None, 0.0
    if not stat.S_ISREG(found.st_mode):
        return None, 0.0
    return (found.st_mtime_ns, found.st_size, found.st_ino), found.st_mtime
