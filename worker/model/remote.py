"""Fetches a model from a URL that fsspec opens, into a cache.

The rules:

- A model is fetched into a folder of its own, and then renamed to the digest of its files in one step. So the
  cache has a model whole or not at all, and two URLs with the same files share it.
- What the storage says of the files (ETag, time, generation) is remembered. While it says the same, nothing
  is fetched again; where it says nothing, the model is fetched at each start.
- A storage that can't be reached leaves the model of the last time in use, with a warning. One that answers
  that the model is not there, or not for this user, is an error: the model may have been taken back.
- The sizes of a model's files are recorded, and checked at each use. A copy that lacks something is fetched
  again.
- One process at a time fetches a URL; others wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tfleet.worker.model.errors import ModelError, first_line
from tfleet.worker.model.model_path import ModelUrl
from tfleet.worker.model.remote_files import (
    RemoteFile,
    RemoteLimits,
    check_limits,
    files_of_highest_version,
    local_name,
    remote_file,
    stamp,
)

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come, and with those that are to come, or None."""
Warn = Callable[[str], None]

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 60.0


_DENIALS: Final = frozenset({401, 403, 404, 410, 451})  # what a server answers of a model, and not of itself


class FetchDeniedError(ModelError):
    """The storage answers that the model is not there, or not for this user."""


def fetch_model(
    url: ModelUrl, cache: Path, *, progress: Progress, warn: Warn, limits: RemoteLimits | None = None
) -> Path:
    """The model's file or folder in the cache, fetched if it is not there. Raises `ModelError`."""
    key = hashlib.sha256(url.url.encode()).hexdigest()
    try:
        for folder in ("urls", "models", "fetching"):
            (cache / folder).mkdir(parents=True, exist_ok=True)
        with _locked(cache / "urls" / f"{key}.lock"):
            return _fetched(
                url, cache, cache / "urls" / f"{key}.json", progress, warn, limits or RemoteLimits()
            )
    except OSError as error:
        raise ModelError(
            f"{url.shown}: the cache {cache} can't be used: {error.strerror or error}"
        ) from error


def _fetched(
    url: ModelUrl, cache: Path, index: Path, progress: Progress, warn: Warn, limits: RemoteLimits
) -> Path:
    known, place = _remembered(cache, index, warn)
    try:
        storage, root, files = _listing(url)
    except FetchDeniedError as error:
        kept = "" if place is None else f"; the copy of the last time is {place}: name that to serve it"
        raise ModelError(f"{error}{kept}") from error
    except ModelError as error:
        if place is None:
            raise
        warn(f"{error}; the model of the last time is served: {place}")
        return place
    now = stamp(files)
    if place is not None and now is not None and now == known:
        return place
    try:
        total = check_limits(files, limits, shutil.disk_usage(cache).free)
    except ModelError as error:
        raise ModelError(f"{url.shown}: {error}") from None
    name, whole = local_name(root), cache / "fetching" / index.stem
    shutil.rmtree(whole, ignore_errors=True)  # what a process left that was killed
    try:
        counter = _Counter(total, limits.bytes, progress)
        _download(url, storage, _targets(files, whole / name), counter)
        digest, sizes = _digest(whole), _sizes(whole)
        folder = cache / "models" / digest
        if folder.exists() and _sizes(folder) != sizes:
            shutil.rmtree(folder)
        if not folder.exists():
            whole.rename(folder)
    finally:
        shutil.rmtree(whole, ignore_errors=True)
    fetched = folder / name
    _write(index, json.dumps({"stamp": now, "place": str(fetched.relative_to(cache)), "sizes": sizes}))
    return fetched


def _targets(files: Sequence[RemoteFile], place: Path) -> list[tuple[RemoteFile, Path]]:
    """Each file, and where it goes. A file that the URL itself names takes the place of the folder."""
    return [(file, place if file.is_whole_model else place / file.name) for file in files]


def _remembered(cache: Path, index: Path, warn: Warn) -> tuple[str | None, Path | None]:
    """The stamp and the place of the last time, if all of it is still there."""
    try:
        document = json.loads(index.read_text(encoding="utf-8"))
        stamp, place, sizes = document["stamp"], cache / document["place"], document["sizes"]
        whole = cache / Path(document["place"]).parents[-3]  # models/DIGEST
    except (OSError, ValueError, LookupError, TypeError):
        return None, None
    if not place.exists():
        return None, None
    if _sizes(whole) != sizes:
        warn(f"{place}: the copy in the cache is damaged; the model is fetched again")
        return None, None
    return stamp, place


def _sizes(folder: Path) -> dict[str, int]:
    """The size of each file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def _listing(url: ModelUrl) -> tuple[Any, str, list[RemoteFile]]:
    """The storage, the model's path in it, and its files. Raises `ModelError`."""
    try:
        import fsspec  # type: ignore[import-untyped] # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError:
        raise ModelError(
            f"{url.shown}: a model from a URL needs the extra \"url\": pip install 'tfleet[url]'"
        ) from None
    plain = url.url.partition("?")[0]
    with _foreign_errors(url):
        storage, path = fsspec.core.url_to_fs(url.url, **_options(url))
        # To fsspec each web page is a folder of the links in it: only a slash tells that a folder is meant.
        if _is_web(url):
            if not plain.endswith("/"):
                return storage, plain, [_named(storage, path, plain)]
            storage.ls(path, detail=False)  # says why it fails, which the search below does not
        elif storage.isfile(path):
            return storage, path, [_named(storage, path, path)]
        root = path.rstrip("/")
        # Web servers put links that sort the list of a folder into it (?C=N;O=D).
        there = [each for each in storage.find(path) if "?" not in each]
        found = [remote_file(each, each[len(root) :].lstrip("/"), storage.info(each)) for each in there]
        if not found:
            raise FetchDeniedError(f"{url.shown}: there is no such file or folder, or it is empty")
        return storage, root, files_of_highest_version(found)


def _named(storage: Any, path: str, shown: str) -> RemoteFile:
    name = shown.rstrip("/").rpartition("/")[2] or "model"
    return replace(remote_file(path, name, storage.info(path)), is_whole_model=True)


def _is_web(url: ModelUrl) -> bool:
    return url.url.startswith(("http://", "https://"))


def _options(url: ModelUrl) -> dict[str, Any]:
    """Time-outs for HTTP: without them, a fetch ends after five minutes, however well it goes."""
    if not _is_web(url):
        return {}
    import aiohttp  # noqa: PLC0415 - slow to import

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    return {"client_kwargs": {"timeout": timeout}}


class _Counter:
    """Counts the bytes of all files, and ends the fetch where there are too many."""

    def __init__(self, total: int | None, most: int, progress: Progress) -> None:
        self._total, self._most, self._progress = total, most, progress
        self._before = self._now = 0

    def add(self, count: int) -> None:
        self._now += count
        if self._before + self._now > self._most:
            raise ModelError(f"is longer than {self._most} bytes")
        self._progress(self._before + self._now, self._total)

    def finish(self, size: int) -> None:
        """A file is there. Not all storages count while they fetch."""
        self._before, self._now = self._before + size, 0
        self.add(0)


def _download(
    url: ModelUrl, storage: Any, targets: Sequence[tuple[RemoteFile, Path]], counter: _Counter
) -> None:
    from fsspec.callbacks import Callback  # type: ignore[import-untyped] # noqa: PLC0415 - as above

    class Counting(Callback):  # type: ignore[misc] # fsspec has no types
        def relative_update(self, inc: int = 1) -> None:
            counter.add(inc)

    for file, target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _foreign_errors(url):
            storage.get_file(file.path, str(target), callback=Counting())
        size = target.stat().st_size
        if file.size_bytes is not None and size != file.size_bytes:
            raise ModelError(
                f"{url.shown}: {file.name} has {size} bytes, and {file.size_bytes} were announced: try again"
            )
        counter.finish(size)


@contextlib.contextmanager
def _foreign_errors(url: ModelUrl) -> Iterator[None]:
    """Whatever a storage raises becomes a `ModelError` that names the URL.

    Each of fsspec's storages has exceptions of its own, so all are caught.
    """
    try:
        yield
    except FetchDeniedError:
        raise
    except ModelError as error:
        said = str(error)
        raise ModelError(said if said.startswith(url.shown) else f"{url.shown}: {said}") from error
    except ImportError as error:
        raise ModelError(f"{url.shown}: {first_line(error)}: pip install it beside tfleet") from error
    except Exception as error:
        # fsspec says FileNotFoundError also where a host can't be reached; the cause says why.
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        if denial := _denial(cause):
            raise FetchDeniedError(f"{url.shown}: can't be fetched: {denial}") from error
        text = first_line(cause).replace(url.url, url.shown)
        raise ModelError(f"{url.shown}: can't be fetched: {type(cause).__name__}: {text}") from error


def _denial(error: Exception) -> str:
    """What the storage answers if it refuses the model; "" for anything else, such as no answer."""
    status = getattr(error, "status", None)
    if status in _DENIALS:
        return f"the server answers {status} ({http.HTTPStatus(status).phrase})"
    if isinstance(error, PermissionError):
        return "this user may not read it"
    return "there is no such file or folder" if isinstance(error, FileNotFoundError) else ""


def _digest(folder: Path) -> str:
    """The digest of all names and contents, which are on the disk when it returns."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            os.fsync(content.fileno())
        whole.update(f"{file.relative_to(folder)}\0{digest}\0".encode())
    return whole.hexdigest()


def _write(index: Path, text: str) -> None:
    """Write the file so that a reader sees the old text or the new one."""
    new = index.with_suffix(f".{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(index)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
