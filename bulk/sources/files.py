"""The files of an input: what the arguments name, and how each one is opened and told apart."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.client.images.files import SUFFIXES

_MAGIC_BYTES: Final = 8
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
    """A file of the input. `listed` says that its folder was named, and not the file."""

    name: str
    listed: bool = False

    @property
    def endings(self) -> tuple[str, ...]:
        """The endings of its name, in lower case, without that of a compression."""
        found = [each.lower() for each in Path(self.name).suffixes]
        return tuple(found[:-1] if self.compression else found)

    @property
    def compression(self) -> str | None:
        """How it is compressed, by its name; None if it is not."""
        return _COMPRESSIONS.get(Path(self.name).suffix.lower())

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return Path(self.name).stat().st_size

    def open(self) -> Any:
        """The file, as pyarrow reads it."""
        return pa.OSFile(self.name)

    def open_mapped(self) -> Any:
        """The file, whose bytes are read when they are used."""
        return pa.memory_map(self.name)

    @property
    def is_arrow_file(self) -> bool:
        """Whether it is an Arrow file, which has an index of its batches, and not a stream."""
        with Path(self.name).open("rb") as content:
            return content.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC

    def open_text(self) -> Any:
        """The file as a stream, decompressed where its name says that it is compressed."""
        return pa.input_stream(self.open(), compression=self.compression)

    def format(self, stated: str | None) -> str:
        """One of `FORMATS`: the stated one, or what the content or the name says. Raises CannotScoreError."""
        found = self._by_content() or stated
        if found is not None:
            return found
        for ending in reversed(self.endings):
            if ending in _FORMAT_BY_ENDING:
                return _FORMAT_BY_ENDING[ending]
        raise CannotScoreError(
            f"{self.name}: its name does not say what it is: give --format, one of {', '.join(FORMATS)}"
        )

    @property
    def is_other(self) -> bool:
        """Whether it lies in a folder that was named, and nothing says what it is."""
        known = set(self.endings) & _FORMAT_BY_ENDING.keys()
        return self.listed and not known and self._by_content() is None

    def digest(self) -> InputDigest:
        """Its digest, which is the SHA-256 of its content."""
        with Path(self.name).open("rb") as content:
            return InputDigest(self.name, self.size, hashlib.file_digest(content, "sha256").hexdigest())

    def _by_content(self) -> str | None:
        """What its first bytes say that it is. Raises CannotScoreError."""
        try:
            with Path(self.name).open("rb") as content:
                begin = content.read(_MAGIC_BYTES)
        except OSError as error:
            raise CannotScoreError(f"{self.name}: cannot be read: {error.strerror}") from error
        return next((found for magic, found in _FORMAT_BY_MAGIC.items() if begin.startswith(magic)), None)


def expand(arguments: Iterable[str]) -> list[InputFile]:
    """The files that the arguments stand for, in order. Raises CannotScoreError for one without files.

    A folder stands for the files in it and below it, sorted by name, without those that begin with `.` or
    `_`. A pattern with `*`, `?` or `[` stands for the files that it matches, sorted; `**` is any folders.
    """
    found: list[InputFile] = []
    for argument in arguments:
        files = list(_expanded(argument))
        if not files:
            raise CannotScoreError(f"{argument}: there is no such file, and none that it matches")
        listed = Path(argument).is_dir()
        found.extend(InputFile(name, listed) for name in files)
    return found


def _expanded(argument: str) -> Iterator[str]:
    path = Path(argument)
    if path.is_dir():
        for folder, folders, names in os.walk(argument):
            folders[:] = sorted(each for each in folders if not each.startswith((".", "_")))
            yield from (str(Path(folder, name)) for name in sorted(names) if not name.startswith((".", "_")))
    elif path.exists():
        yield argument
    elif glob.has_magic(argument):
        yield from sorted(each for each in glob.iglob(argument, recursive=True) if Path(each).is_file())  # noqa: PTH207 - the pattern may be absolute, which Path.glob does not take
