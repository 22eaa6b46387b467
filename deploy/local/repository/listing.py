"""Look at a model repository on disk: which models and versions there are, and what stands for their files.

Rules:

- A folder DIR has models NAME, and these have versions NAME/VERSION. A version's name is a number, or any
  text if there is a model.toml in its folder. Leading zeros of a number do not count.
- Models and versions whose names begin with a dot, or end with .tmp or .partial, are being made, and are left
  out. Within a version such files count only as activity. `__pycache__` is never looked at: workers write it.
- Links are followed to a model, to a version, to files, and to a folder within a version, but not to a
  folder below that one.
- All is bounded. What is beyond the bounds is not served, and a line says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final

from tfleet.contract.identifiers import escaped, is_label, version_of_folder
from tfleet.deploy.local.repository.text_format import TextFormatError, read_text
from tfleet.deploy.local.repository.triton_config import CONFIG, TritonConfig, read_triton_config
from tfleet.deploy.local.repository.values import (
    ModelFiles,
    Poll,
    RepositoryError,
    VersionFiles,
    VersionPolicy,
)
from tfleet.discovery.version_order import version_rank

MAX_MODELS: Final = 100
MAX_VERSIONS: Final = 100
MAX_FILES: Final = 10_000
"""The files and folders of one version, at most."""
_MAX_ENTRIES: Final = 10_000
"""The entries of DIR, and of a model's folder, that are looked at."""
_MAX_DEPTH: Final = 16
_UNFINISHED: Final = (".tmp", ".partial")
_CACHE: Final = "__pycache__"
_MANIFEST: Final = "model.toml"
_MODEL_SUFFIXES: Final = (".pb", ".keras", ".h5", ".hdf5")


class TooManyFilesError(Exception):
    """A version has more files than are looked at."""


def list_models(folder: Path, policy: VersionPolicy) -> Poll:
    """Look at all models in a folder. Raises RepositoryError if it can't be read."""
    try:
        status = folder.stat()
        found = _list_models(folder, policy)
    except OSError as error:
        raise RepositoryError(f"{folder}: cannot be read: {error.strerror or error}") from error
    return replace(found, identity=(status.st_dev, status.st_ino))


def _list_models(folder: Path, policy: VersionPolicy) -> Poll:
    entries = _entries(folder)
    problems = [
        f"{each}: is not in a version folder: move it to {folder / each.stem}/1/"
        for each in entries
        if each.suffix.lower() in _MODEL_SUFFIXES and not _may_be_folder(each) and each.is_file()
    ]
    names = [each for each in entries if not _is_left_out(each.name) and _may_be_folder(each)]
    unnamed = [each for each in names if not is_label(each.name)]
    problems += [f"'{escaped(str(each))}': a model's name has to be printable ASCII" for each in unnamed]
    named = [each for each in names if is_label(each.name)]
    if len(named) > MAX_MODELS:
        problems.append(f"{folder}: has {len(named)} models; only the first {MAX_MODELS} by name are served")
    models = {}
    for each in named[:MAX_MODELS]:
        models[each.name], of_model = list_model(each, policy)
        problems += of_model
    return Poll(models, tuple(problems))


def list_model(folder: Path, policy: VersionPolicy) -> tuple[ModelFiles, list[str]]:
    """Look at one model's folder; the lines are about what of it is not served.

    A config.pbtxt in it may have another policy, and name the model's file or folder in each version.
    """
    try:
        entries = _entries(folder)
        found = list(filter(_is_version, entries))
        config = _triton_config(folder)
    except OSError as error:
        return ModelFiles({}, policy), [f"{folder}: cannot be read: {error.strerror or error}"]
    except TextFormatError as error:
        return ModelFiles({}, policy), [f"{folder / CONFIG}: {error}"]
    policy = config.policy or policy
    # Of folders for the same number, the one without leading zeros comes first.
    found.sort(key=lambda each: (version_rank(each.name), -len(each.name)), reverse=True)
    problems, versions, unreadable = [], {}, {}
    if len(found) > MAX_VERSIONS:
        problems.append(f"{folder}: has {len(found)} versions; only the highest {MAX_VERSIONS} are served")
    if not found and entries:
        problems.append(f"{folder}: has no version folder, such as {folder / '1'}")
    for each in found[:MAX_VERSIONS]:
        version = version_of_folder(each.name)
        if version in versions:
            problems.append(f"{each}: is not served: another folder is version {version}, too")
            continue
        try:
            versions[version] = VersionFiles(each / config.filename, *_stamps(each))
        except TooManyFilesError:
            unreadable[version] = f"{each}: has more than {MAX_FILES:,} files: it is not served"
        except OSError as error:
            unreadable[version] = f"{each}: cannot be read: {error.strerror or error}"
    return ModelFiles(versions, policy, unreadable=unreadable), [*problems, *unreadable.values()]


def _triton_config(folder: Path) -> TritonConfig:
    """What Triton's file in a model's folder says. Raises OSError and TextFormatError."""
    try:
        return read_triton_config(read_text(folder / CONFIG), folder.name)
    except FileNotFoundError:
        return TritonConfig(policy=None, filename="")


def _entries(folder: Path) -> list[Path]:
    """The entries of a folder, sorted by name; of a huge one only some. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(folder / each.name for each in islice(entries, _MAX_ENTRIES))


def _is_left_out(name: str) -> bool:
    return _is_unfinished(name) or name == _CACHE


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") or name.endswith(_UNFINISHED)


def _may_be_folder(entry: Path) -> bool:
    """Whether it is a folder. What can't be looked at may be one: who reads it says why it can't be read, and
    the others are served.
    """
    try:
        return entry.is_dir()
    except OSError:
        return True


def _is_version(entry: Path) -> bool:
    if _is_left_out(entry.name) or not is_label(entry.name) or not _may_be_folder(entry):
        return False
    # A link such as `current` is another name of a version that is there anyway.
    return version_rank(entry.name)[0] or (not entry.is_symlink() and (entry / _MANIFEST).is_file())


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    size: int
    mtime_ns: int
    finished: bool

    @property
    def text(self) -> bytes:
        return f"{self.name}\0{self.size}\0{self.mtime_ns}\n".encode(errors="surrogateescape")


def _stamps(version: Path) -> tuple[str, str]:
    """What stands for the finished files, and for all files. Raises OSError and TooManyFilesError."""
    files = list(islice(_files(version, "", depth=0, linked=False), MAX_FILES + 1))
    if len(files) > MAX_FILES:
        raise TooManyFilesError
    files.sort(key=lambda each: each.name)
    finished = [each for each in files if each.finished]
    return _digest(finished) if finished else "", _digest(files)


def _digest(files: list[_File]) -> str:
    return blake2b(b"".join(each.text for each in files), digest_size=16).hexdigest()


def _files(folder: Path, prefix: str, *, depth: int, linked: bool, finished: bool = True) -> Iterator[_File]:
    """The files below a folder, and its folders, so that empty ones count for the bound."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            done = finished and not _is_unfinished(entry.name)
            try:
                if entry.is_dir():
                    # A second link could lead back up, and be followed for ever.
                    follow = not (linked and entry.is_symlink())
                    if entry.name != _CACHE and follow and depth < _MAX_DEPTH:
                        yield _File(f"{name}/", 0, 0, done)
                        inside = linked or entry.is_symlink()
                        yield from _files(
                            folder / entry.name, f"{name}/", depth=depth + 1, linked=inside, finished=done
                        )
                    continue
                status = entry.stat()
            except FileNotFoundError:  # it has gone since, or is a link to nothing
                continue
            yield _File(name, status.st_size, status.st_mtime_ns, done)
