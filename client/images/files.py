"""Expand the arguments of `tfleet classify` to files."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfleet.client.images.image import URL_NOT_FETCHED, is_url
from tfleet.client.text import count

_JPEG: Final = (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp")
_OTHERS: Final = (".png", ".apng", ".gif", ".bmp", ".webp", ".avif", ".heic", ".heif")
SUFFIXES: Final = (*_JPEG, *_OTHERS)
"""The endings of images in a folder. A file that is named as an argument is sent whatever its ending is.

Not all workers read .heic and .heif; one that can't explains in its answer what to install.
"""

STDIN: Final = "-"
_CHUNK_BYTES: Final = 64 * 1024
_MAX_ENDINGS: Final = 5


@dataclass(frozen=True, slots=True)
class Unusable:
    """A folder without a file to send, or a URL, and the reason."""

    name: str
    reason: str


class SkippedFiles:
    """Counts the files in folders that are not sent, by the ending of their names."""

    def __init__(self) -> None:
        self._endings: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._endings)

    def __str__(self) -> str:
        """`skipped 3 files (2 .tif, 1 .txt)`, the most frequent first."""
        endings = self._endings.most_common(_MAX_ENDINGS)
        shown = [f"{number} {ending}" for ending, number in endings]
        if rest := self._endings.total() - sum(number for _, number in endings):
            shown.append(f"{rest} others")
        return f"skipped {count(self._endings.total(), 'file')} ({', '.join(shown)})"

    def add(self, name: str) -> None:
        """Count a file."""
        self._endings[Path(name).suffix.lower() or "without an ending"] += 1


def expand(
    arguments: Iterable[str], read: Callable[[int], bytes], skipped: SkippedFiles | None = None
) -> Iterator[str | Unusable]:
    """The files to send, one at a time and in order. May block, so it belongs in a thread.

    Folders are walked recursively, sorted by name; links to folders are not followed, because they may form a
    cycle. `-` stands for the file names, one a line, that `read(n)` returns until it returns nothing. Files
    in folders that are no images by their names are counted in `skipped`.
    """
    skipped = SkippedFiles() if skipped is None else skipped
    for argument in arguments:
        if argument == STDIN:
            for name in _lines(read):
                yield Unusable(name, URL_NOT_FETCHED) if is_url(name) else name
        elif is_url(argument):
            yield Unusable(argument, URL_NOT_FETCHED)
        elif Path(argument).is_dir():
            yield from _images_or_reason(argument, skipped)
        else:
            yield argument


def read_stdin(n: int) -> bytes:
    """Up to `n` bytes of standard input, as soon as there are some.

    Not through `sys.stdin`: a thread that waits there holds a lock that the interpreter wants when it exits.
    """
    return os.read(0, n)


def _images_or_reason(folder: str, skipped: SkippedFiles) -> Iterator[str | Unusable]:
    empty = True
    for item in _walk(folder, skipped):
        empty = False
        yield item
    if empty:
        yield Unusable(folder, f"no images in this folder (looked for {', '.join(SUFFIXES)})")


def _walk(folder: str, skipped: SkippedFiles) -> Iterator[str | Unusable]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Unusable(folder, f"cannot list this folder: {error.strerror}")
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, skipped)
        elif not _is_file(entry):
            continue
        elif entry.name.lower().endswith(SUFFIXES):
            yield entry.path
        else:
            skipped.add(entry.name)


def _is_file(entry: os.DirEntry[str]) -> bool:
    """False for a link to a folder, a pipe or a device. True for a broken link, so that it is reported."""
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
