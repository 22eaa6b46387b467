"""The SavedModels that Keras files were converted to: $XDG_CACHE_HOME/tfleet/keras, or ~/.cache/tfleet/keras.

Rules:
- An entry is found by the digest of the file's bytes and the versions of what converts. A changed file, or a
  new Keras or TensorFlow, makes a new entry.
- An entry appears whole, by a rename, and is checked for missing and short files before it is used.
- Of several processes that need the same entry one converts; the others wait. The kernel frees the lock of a
  process that dies.
- Each conversion cleans up: entries unused for 30 days go, then the least recently used ones until 10 GiB are
  left. What was used within the last hour stays: a worker may just be reading it.
- A model with code of its own is converted at every start, since that code may have changed. So is every
  model where the folder cannot be written to. That folder is temporary, and goes when the process ends.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from tfleet.worker.model.cache_folder import cache_folder
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.convert import Conversion, convert
from tfleet.worker.model.keras.file import (
    KerasFile,
    check_code,
    is_keras_file,
    keras_version,
    read_keras_file,
)
from tfleet.worker.model.spec import ModelSpec

FORMAT: Final = 2
"""Raised when conversions come out differently, so that older entries are not used any more."""

MAX_BYTES: Final = 10 << 30
MAX_AGE_S: Final = 30 * 24 * 3600.0
_IN_USE_S: Final = 3600.0
_RECORD: Final = "conversion.json"
_TEMPORARY: Final = ".converting-"
_TENSORFLOWS: Final = ("tensorflow-cpu", "tensorflow", "tensorflow-intel")

Convert: TypeAlias = Callable[..., Conversion]
"""`convert`, or what takes the same arguments and makes the same folder."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One folder of the cache, for the decision which ones go."""

    path: Path
    size_bytes: int
    used_s: float


def as_saved_model(spec: ModelSpec, log: Any) -> ModelSpec:
    """The same model as a SavedModel, if it is a Keras file. Raises `ModelError`."""
    if not is_keras_file(spec.path):
        return spec
    folder = converted(spec.path, trust=spec.serving.trust, log=log)
    return replace(spec, path=folder, serving=replace(spec.serving, converted_from=spec.path))


def converted(path: Path, *, trust: bool, log: Any, convert: Convert = convert) -> Path:
    """The folder of the SavedModel that the Keras file `path` was converted to, now or before. Raises
    `ModelError`.
    """
    folder = cache_folder("keras")
    digest = _digest(path)
    entry = folder / _name(path, digest)
    if _complete(entry):
        _touch(entry)
        log.info("keras model taken from the cache", model=str(path), saved_model=str(entry))
        return entry
    file = read_keras_file(path)
    check_code(file, trust=trust)
    if file.code:
        log.warning(
            "running code from a model file: --trust", model=str(path), code=list(map(str, file.code))
        )
        return _convert_once(file, log, convert, trust=True)
    try:
        _make(folder)
        with _locked(folder / f"lock-{digest[:2]}", log):
            return _convert_into(file, digest, entry, log, convert)
    except OSError as error:
        log.warning("cannot cache the conversion", folder=str(folder), error=error.strerror or str(error))
        return _convert_once(file, log, convert, trust=False)


def cached(path: Path) -> Path | None:
    """The folder of the SavedModel, if this file has been converted before. Raises `ModelError` if it cannot
    be read.
    """
    entry = cache_folder("keras") / _name(path, _digest(path))
    return entry if _complete(entry) else None


def superfluous(entries: list[CacheEntry], now_s: float) -> list[CacheEntry]:
    """The entries to remove: the unused ones, and the least recently used ones beyond the limit."""
    kept_bytes = 0
    removed = []
    for entry in sorted(entries, key=lambda entry: entry.used_s, reverse=True):
        age_s = now_s - entry.used_s
        kept_bytes += entry.size_bytes
        if age_s > _IN_USE_S and (age_s > MAX_AGE_S or kept_bytes > MAX_BYTES):
            removed.append(entry)
            kept_bytes -= entry.size_bytes
    return removed


def _convert_into(file: KerasFile, digest: str, entry: Path, log: Any, convert: Convert) -> Path:
    """Convert into the cache, with the lock held."""
    if _complete(entry):  # the process that had the lock before made it
        _touch(entry)
        return entry
    shutil.rmtree(entry, ignore_errors=True)  # a damaged one
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=entry.parent) as work:
        made = Path(work, "entry")
        _convert_logged(file, made, log, convert, trust=False)
        if _digest(file.path) != digest:
            raise ModelError(f"{file.path}: the file changed while it was read: start again")
        _record(made, file)
        made.rename(entry)
    _clean(entry.parent, entry)
    return entry


def _convert_once(file: KerasFile, log: Any, convert: Convert, *, trust: bool) -> Path:
    """Convert into a folder that goes when this process ends."""
    try:
        work = Path(tempfile.mkdtemp(prefix="tfleet-keras-"))
    except OSError as error:
        raise ModelError(
            f"{file.path}: there is no folder to write the converted model to: set XDG_CACHE_HOME ({error})"
        ) from error
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    _convert_logged(file, work / "saved_model", log, convert, trust=trust)
    return work / "saved_model"


def _convert_logged(file: KerasFile, target: Path, log: Any, convert: Convert, *, trust: bool) -> None:
    model = str(file.path)
    log.info("converting keras model", model=model, keras=keras_version(), saved_by=file.version or "unknown")
    made = convert(
        file, target, trust=trust, progress=lambda stage: log.info("converting", model=model, stage=stage)
    )
    if not made.compared:
        log.warning("converted model not compared with keras: no made-up input fits it", model=model)
    log.info("keras model converted", model=model, seconds=made.seconds)


def _name(path: Path, digest: str) -> str:
    """An entry's name. It begins like the file's, so that whoever looks at the cache knows what is in it."""
    stem = re.sub(r"[^\w.-]", "_", path.resolve().stem, flags=re.ASCII)[:40]
    return f"{stem}-{digest[:40]}-keras{keras_version()}-tf{_tensorflow_version()}-{FORMAT}"


def _tensorflow_version() -> str:
    """The installed version, without importing it."""
    for name in _TENSORFLOWS:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return ""


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _files(folder: Path) -> dict[str, int]:
    """The size of each file below a folder."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _RECORD
    }


def _record(folder: Path, file: KerasFile) -> None:
    """Write down what the folder is made of, and of what."""
    record = {"source": str(file.path.absolute()), "saved_by": file.version, "files": _files(folder)}
    (folder / _RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def _complete(entry: Path) -> bool:
    try:
        record = json.loads((entry / _RECORD).read_text(encoding="utf-8"))
        return bool(record["files"] == _files(entry))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _touch(entry: Path) -> None:
    with suppress(OSError):  # in a cache that is mounted read-only
        os.utime(entry)


def _make(folder: Path) -> None:
    if not folder.is_absolute():  # "~" was not replaced
        raise FileNotFoundError(errno.ENOENT, "this user has no home folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def _locked(path: Path, log: Any) -> Iterator[None]:
    """Hold the lock of this name; wait for it. The file stays: there are 256 at most."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that converts a keras model", lock=str(path))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clean(folder: Path, used: Path) -> None:
    now_s = time.time()
    entries = []
    for path in folder.iterdir():
        with suppress(OSError):  # another process cleans up, too
            if path.is_dir() and path != used:
                used_s = path.stat().st_mtime
                abandoned = path.name.startswith(_TEMPORARY) and now_s - used_s > _IN_USE_S
                entries.append(CacheEntry(path, sum(_files(path).values()), 0.0 if abandoned else used_s))
    for entry in superfluous([*entries, CacheEntry(used, sum(_files(used).values()), now_s)], now_s):
        shutil.rmtree(entry.path, ignore_errors=True)
