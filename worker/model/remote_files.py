"""Which of the files behind a URL are the model, and where they go. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

from tfleet.worker.model.errors import ModelError

# What storages call the mark of a content. A file that has none may have changed whenever it is asked for.
_MARKS: Final = frozenset(
    (
        *("etag", "content-md5", "content_md5", "digest", "md5hash", "crc32c", "checksum"),
        *("last-modified", "last_modified", "lastmodified", "mtime", "modified", "modification_time"),
        *("generation", "versionid"),
    )
)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch. `name` is its path below the model, `mark` says which content it has, or is
    "". `is_whole_model`: the URL names this file, and no folder.
    """

    path: str
    name: PurePosixPath
    size_bytes: int | None
    mark: str
    is_whole_model: bool = False


@dataclass(frozen=True, slots=True)
class RemoteLimits:
    """The most that is fetched of one model."""

    files: int = 10_000
    bytes: int = 64 << 30


def remote_file(path: str, name: str, info: Mapping[str, Any]) -> RemoteFile:
    """A file from what fsspec says of it. Raises `ModelError` for a name that would leave the folder."""
    relative = PurePosixPath(unquote(name))
    odd = relative.is_absolute() or not relative.parts or ".." in relative.parts
    if odd or not str(relative).isprintable():
        raise ModelError(f"{name!r} is no name for a file of a model")
    size = info.get("size")
    marks = sorted((key.lower(), str(value)) for key, value in info.items() if key.lower() in _MARKS)
    return RemoteFile(path, relative, None if size is None else int(size), repr(marks) if marks else "")


def files_of_highest_version(files: Iterable[RemoteFile]) -> list[RemoteFile]:
    """All files of a version folder; of a model folder NAME only those of the version that is served."""
    there = sorted(files, key=lambda file: file.name)
    versions = {
        part
        for file in there
        if len(file.name.parts) > 1 and (part := file.name.parts[0]).isascii() and part.isdecimal()
    }
    described = any(len(file.name.parts) == 1 and file.name.suffix in {".pb", ".toml"} for file in there)
    if not versions or described:
        return there
    highest = max(versions, key=int)
    return [file for file in there if file.name.parts[0] == highest]


def check_limits(files: Iterable[RemoteFile], limits: RemoteLimits, free_bytes: int) -> int | None:
    """The bytes of all files, None where a storage does not say. Raises `ModelError` if that is too much."""
    sizes = [file.size_bytes for file in files]
    if not sizes:
        raise ModelError("there is no file")
    if len(sizes) > limits.files:
        raise ModelError(
            f"there are {len(sizes)} files, more than {limits.files}: name the model's own folder"
        )
    known = sum(size or 0 for size in sizes)
    if known > limits.bytes:
        raise ModelError(f"has {known} bytes, more than {limits.bytes}")
    if known > free_bytes:
        raise ModelError(f"has {known} bytes, and the cache's disk has {free_bytes} free")
    return None if None in sizes else known


def stamp(files: Iterable[RemoteFile]) -> str | None:
    """A text that changes when a file does; None where the storage does not say when that is."""
    there = list(files)
    if not all(file.mark for file in there):
        return None
    return repr([(str(file.name), file.size_bytes, file.mark) for file in there])


def local_name(path: str) -> PurePosixPath:
    """Where a model from this path lies below its digest: `flowers/3`, `flowers` or `flowers.keras`.

    The folder's name becomes the model's, and a number its version.
    """
    parts = [part for part in unquote(path).split("/") if part not in {"", ".", ".."} and "\0" not in part]
    last = parts[-1] if parts else "model"
    if last.isascii() and last.isdecimal():
        return PurePosixPath(parts[-2] if len(parts) > 1 else "model", last)
    return PurePosixPath(last)
