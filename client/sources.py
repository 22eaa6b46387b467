"""The files that the arguments of `tfleet classify` mean."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
"""What counts as an image in a folder. A file that is named itself is sent whatever it is called."""

STDIN: Final = "-"
_CHUNK_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Unusable:
    """A folder that yields nothing to send, and why."""

    name: str
    reason: str


def expand(arguments: Iterable[str], read: Callable[[int], bytes]) -> Iterator[str | Unusable]:
    """The files to send, one at a time and in order. May block, so it belongs in a thread.

    Folders are walked recursively, sorted by name; links to folders are not followed, as they may go in
    circles. `-` stands for the names, one a line, that `read(n)` gives until it gives nothing.
    """
    for argument in arguments:
        if argument == STDIN:
            yield from _lines(read)
        elif Path(argument).is_dir():
            yield from _images_or_reason(argument)
        else:
            yield argument


def read_stdin(n: int) -> bytes:
    """Up to `n` bytes of standard input, as soon as there are some.

    Not through `sys.stdin`: a thread that waits there holds a lock that the interpreter wants when it exits.
    """
    return os.read(0, n)


def _images_or_reason(folder: str) -> Iterator[str | Unusable]:
    empty = True
    for item in _walk(folder):
        empty = False
        yield item
    if empty:
        yield Unusable(folder, f"no images in this folder (looked for *{', *'.join(SUFFIXES)})")


def _walk(folder: str) -> Iterator[str | Unusable]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Unusable(folder, f"cannot list this folder: {error.strerror}")
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif entry.name.lower().endswith(SUFFIXES) and _is_file(entry):
            yield entry.path


def _is_file(entry: os.DirEntry[str]) -> bool:
    """False for a link to a folder, a pipe or a device. A broken link counts: it should be told."""
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


def _lines(read: Callable[[int], bytes]) -> Iterator[str]:
    rest = b""
    while chunk := read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (os.fsdecode(line) for line in lines if line)
    if rest:
        yield os.fsdecode(rest)
