"""The files of an input: what the arguments name, and how each one is opened and told apart."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa

from tfleet.bulk.errors import BrokenInputError, CannotScoreError, RunFailedError
from tfleet.bulk.sources.storage import (
    expanded,
    fresh_mark,
    is_url,
    open_in_order,
    open_url,
    said,
    shown,
    size_and_mark,
)
from tfleet.client.images.files import SUFFIXES

_MAGIC_BYTES: Final = 8
_DIGEST_BYTES: Final = 1024 * 1024
_ARROW_MAGIC: Final = b"ARROW1"
_FORMAT_BY_MAGIC: Final = {b"PAR1": "parquet", _ARROW_MAGIC: "arrow"}
_FORMAT_BY_ENDING: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    **dict.fromkeys(SUFFIXES, "image"),
}
FORMATS: Final = ("parquet", "csv", "jsonl", "arrow", "image")
_COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


@dataclass(frozen=True, slots=True)
class InputDigest:
    """A file of the input. Its name may change between two runs, its content may not."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input: a path, or a URL. `listed` says that its folder was named, and not the file."""

    path: str
    listed: bool = False

    @property
    def name(self) -> str:
        """What it is called in messages and in the manifest."""
        return shown(self.path) if self.is_url else self.path

    @property
    def is_url(self) -> bool:
        """Whether it is a URL, which fsspec opens."""
        return is_url(self.path)

    @property
    def endings(self) -> tuple[str, ...]:
        """The endings of its name, in lower case, without that of a compression."""
        found = [each.lower() for each in self._own_name.suffixes]
        return tuple(found[:-1] if self.compression else found)

    @property
    def compression(self) -> str | None:
        """How it is compressed, by its name; None if it is not."""
        return _COMPRESSIONS.get(self._own_name.suffix.lower())

    @property
    def _own_name(self) -> PurePosixPath:
        # `zip://rows.csv::file:///tmp/all.zip` is rows.csv.
        return PurePosixPath(self.name.partition("::")[0] if self.is_url else self.name)

    def open(self) -> Any:
        """The file, as pyarrow reads it. Raises OSError."""
        return pa.PythonFile(open_url(self.path), "r") if self.is_url else pa.OSFile(self.path)

    def open_mapped(self) -> Any:
        """The file, whose bytes are read when they are used. Raises OSError."""
        return self.open() if self.is_url else pa.memory_map(self.path)

    @property
    def is_arrow_file(self) -> bool:
        """Whether it is an Arrow file, which has an index of its batches, and not a stream."""
        with self._plain() as content:
            return bool(content.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC)

    def open_text(self) -> Any:
        """The file as a stream, decompressed where its name says that it is compressed."""
        if not self.is_url:
            return pa.input_stream(self.open(), compression=self.compression)
        file = open_in_order(self.path)
        if not self.compression:
            return file  # in pyarrow's hands each file can seek
        return pa.input_stream(pa.PythonFile(file, "r"), compression=self.compression)

    def ended_by(self, error: pa.ArrowException | OSError) -> RunFailedError:
        """Why the run ends where the file could not be read any further."""
        # The system's errors have a number, those of a decompressor have none. What a server breaks off may
        # come whole the next time.
        if self.compression and not self.is_url and isinstance(error, OSError) and error.errno is None:
            return BrokenInputError(f"{self.name}: cannot be decompressed to its end: {said(error)}")
        return RunFailedError(f"{self.name}: cannot be read: {error}")

    def format(self, stated: str | None) -> str:
        """One of `FORMATS`: the stated one, or what the content or the name says. Raises CannotScoreError."""
        try:
            self.path.encode()
        except UnicodeEncodeError:
            raise CannotScoreError(f"{self.name}: its name is not UTF-8: rename it") from None
        by_content = self._by_content()  # first, as it refuses what cannot be read
        found = stated or by_content or self.by_name()
        if found is not None:
            return found
        instead = ", or name the files by a pattern" if self.listed else ""
        raise CannotScoreError(
            f"{self.name}: its name does not say what it is: give --format, one of "
            f"{', '.join(FORMATS)}{instead}"
        )

    @property
    def is_other(self) -> bool:
        """Whether it lies in a folder that was named, and nothing says what it is."""
        return self.listed and self.by_name() is None and self._by_content() is None

    def digest(self) -> InputDigest:
        """Its digest, which is the SHA-256 of its content. Raises CannotScoreError."""
        whole, size = hashlib.sha256(), 0
        try:
            with self._plain() as content:
                while piece := content.read(_DIGEST_BYTES):
                    whole.update(piece)
                    size += len(piece)
        except OSError as error:
            raise CannotScoreError(f"{self.name}: cannot be read: {said(error)}") from error
        return InputDigest(self.name, size, whole.hexdigest())

    def size_and_mark(self) -> tuple[int, str]:
        """Its size, and what changes with its content. Raises OSError."""
        if self.is_url:
            return size_and_mark(self.path)
        facts = Path(self.path).stat()
        return facts.st_size, str(facts.st_mtime_ns)

    def mark(self) -> str:
        """What changes when the file is written to or replaced. Raises OSError."""
        if self.is_url:
            return fresh_mark(self.path)
        facts = Path(self.path).stat()
        return f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ino}"

    def _plain(self) -> Any:
        return open_in_order(self.path) if self.is_url else Path(self.path).open("rb")

    def by_name(self) -> str | None:
        return next(
            (_FORMAT_BY_ENDING[each] for each in reversed(self.endings) if each in _FORMAT_BY_ENDING), None
        )

    def _by_content(self) -> str | None:
        """What its first bytes say that it is. Raises CannotScoreError."""
        if self.is_url:
            if self.by_name() == "image":
                return None  # a request for each of thousands of images would take as long as to score them
        elif Path(self.path).exists() and not Path(self.path).is_file():
            raise CannotScoreError(f"{self.name}: is a pipe or a device, and a run reads its input twice")
        try:
            with self._plain() as content:
                begin = content.read(_MAGIC_BYTES)
        except OSError as error:
            raise CannotScoreError(f"{self.name}: cannot be read: {said(error)}") from error
        return next((found for magic, found in _FORMAT_BY_MAGIC.items() if begin.startswith(magic)), None)


def expand(arguments: Iterable[str]) -> list[InputFile]:
    """The files that the arguments stand for, in order. Raises CannotScoreError for one without files.

    A folder stands for the files in it and below it, sorted by name, without those that begin with `.` or
    `_`. A pattern with `*`, `?` or `[` stands for the files that it matches, sorted; `**` is any folders.
    """
    found: list[InputFile] = []
    for argument in arguments:
        files, listed = (
            expanded(argument) if is_url(argument) else (list(_expanded(argument)), Path(argument).is_dir())
        )
        if not files:
            what = "has no files" if listed else "there is no such file, and none that it matches"
            raise CannotScoreError(f"{shown(argument) if is_url(argument) else argument}: {what}")
        found.extend(InputFile(name, listed) for name in files)
    return found


def check_apart(arguments: Iterable[str], files: Sequence[InputFile], output: Path) -> None:
    """Raise CannotScoreError where the output would be an input of the next run, or of this one."""
    folder = output.resolve()
    read = [each for each in arguments if not is_url(each) and Path(each).is_dir()]
    # A link in one of them may lead to a folder elsewhere, which is read as well.
    read.extend({str(Path(file.path).parent) for file in files if file.listed and not file.is_url})
    for name in read:
        if folder.is_relative_to(Path(name).resolve()):
            raise CannotScoreError(
                f"{output}: lies in the input {name}, of which the output would be a part: "
                "choose another folder"
            )
    for file in files:
        if not file.is_url and Path(file.path).resolve().is_relative_to(folder):
            raise CannotScoreError(f"{file.name}: lies in the folder of the output: choose another folder")


def _expanded(argument: str) -> Iterator[str]:
    path = Path(argument)
    if path.is_dir():
        yield from _below(argument)
    elif path.exists():
        yield argument
    elif glob.has_magic(argument):
        yield from sorted(each for each in glob.iglob(argument, recursive=True) if Path(each).is_file())  # noqa: PTH207 - the pattern may be absolute, which Path.glob does not take


def _below(root: str) -> Iterator[str]:
    """The files of a folder. Links to folders are followed; one that is reached twice is read once."""
    reached = set()
    for folder, folders, names in os.walk(root, onerror=_raise, followlinks=True):
        facts = Path(folder).stat()
        if (facts.st_dev, facts.st_ino) in reached:
            folders.clear()
            continue
        reached.add((facts.st_dev, facts.st_ino))
        folders[:] = sorted(each for each in folders if not each.startswith((".", "_")))
        yield from (str(Path(folder, name)) for name in sorted(names) if not name.startswith((".", "_")))


def _raise(error: OSError) -> None:
    """`os.walk` would leave out a folder that cannot be read, and nobody would hear of it."""
    raise CannotScoreError(f"{error.filename}: cannot be read: {said(error)}") from error
