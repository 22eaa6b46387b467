"""The file with the keys of tickets: one or two lines, the key that signs first.

The rules:

- A file that can't be used ends a program that starts, and changes nothing in one that runs: the keys that
  it has stay in use, and its log says why, once.
- A change is taken without a restart. Whether there is one is told from the file's modification time, its
  size and its inode, which is cheap enough for each request; through symbolic links, because that is how
  secrets are exchanged in containers.
- A file that was modified within the last second is left alone until then: it may be half written, and a
  second change within the resolution of the time would not be seen.
- What is no regular file, such as a pipe, is read once.
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

_MOST_KEYS: Final = 2
_FEWEST_CHARS: Final = 32
_MOST_BYTES: Final = 4096
_SETTLED_S: Final = 1.0
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
_HOW: Final = "make one with `openssl rand -hex 32 > {}`"

_Stamp = tuple[int, ...]


class BadKeyFileError(Exception):
    """The keys can't be read. The message is one line that names the option, the file and what to do."""


@dataclass(frozen=True, slots=True)
class KeyFileState:
    """The keys of a file, and which version of it they are from, for another process to go on with."""

    path: Path
    keys: TicketKeys
    stamp: _Stamp | None


class KeyFile:
    """The keys as they were read last. Not for several threads at once."""

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.time, *, state: KeyFileState | None = None
    ) -> None:
        """Read them, or go on with what another process has read. Raises BadKeyFileError."""
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
                    f"every user of this machine can get at the keys of tickets: chmod o= {path}"
                )

    @property
    def state(self) -> KeyFileState:
        """What another process can go on with."""
        return KeyFileState(self._path, self.keys, self._stamp)

    def __repr__(self) -> str:
        return f"<KeyFile {self._path} keys={len(self.keys.secrets)}>"

    def look(self) -> TicketKeys:
        """The keys as they are now. Never raises."""
        stamp, modified_s = _stamp(self._path)
        if stamp == self._stamp or 0 <= self._clock() - modified_s < _SETTLED_S:
            return self.keys
        self._stamp = stamp
        try:
            keys = read_keys(self._path)
        except BadKeyFileError as error:
            self._log.warning(f"the keys of tickets are not changed: {error}")
            return self.keys
        if keys != self.keys:
            self.keys = keys
            self._log.info("keys of tickets changed", keys=len(keys.secrets))
        return keys


def read_keys(path: Path) -> TicketKeys:
    """What the file holds. Raises BadKeyFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadKeyFileError(f"--ticket-key-file {path}: {reason}; {_HOW.format(path)}") from error
    keys = [line.strip() for line in content.splitlines() if line.strip()]
    if fault := _fault(content, keys):
        raise BadKeyFileError(f"--ticket-key-file {path}: {fault}; {_HOW.format(path)}")
    return TicketKeys(tuple(keys))


def _fault(content: bytes, keys: list[bytes]) -> str | None:
    if len(content) > _MOST_BYTES or not content.isascii():
        return f"it is no text of one or two lines, {_MOST_BYTES} bytes at the most"
    if not 1 <= len(keys) <= _MOST_KEYS:
        return f"it has {len(keys) or 'no'} keys and must have one or two, each on a line of its own"
    if len(min(keys, key=len)) < _FEWEST_CHARS:
        return f"a key has at least {_FEWEST_CHARS} characters"
    return None


def _stamp(path: Path) -> tuple[_Stamp | None, float]:
    """What changes with the file, None where there is no such file; and when that was, in unix seconds."""
    try:
        found = path.stat()
    except OSError:
        return None, 0.0
    if not stat.S_ISREG(found.st_mode):
        return None, 0.0
    return (found.st_mtime_ns, found.st_size, found.st_ino), found.st_mtime
