"""Files behind URLs, which fsspec opens: on this machine, in an archive, on a web server, in a bucket.

fsspec is imported only where a URL is given. Each of its storages has exceptions of its own: what they raise
becomes an OSError, as it is for a local file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from tfleet.bulk.errors import CannotScoreError
from tfleet.worker.model.errors import first_line

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PASSWORD: Final = re.compile(r"://[^/@]*:[^/@]*@")
_QUERY: Final = re.compile(r"\?[^:]*")
_MAGIC: Final = re.compile(r"[*?\[]")
_CHAIN: Final = "::"
_WEB: Final = ("http://", "https://")
_TAGS: Final = ("ETag", "Last-Modified")  # a web page has no other mark
_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 60.0
_SKIP_BYTES: Final = 1024 * 1024


def is_url(name: str) -> bool:
    """Whether it is a URL, and no path of this machine."""
    return _URL.match(name) is not None


def shown(url: str) -> str:
    """The URL for people and for the manifest: without its query, which may be signed."""
    return _QUERY.sub("", url) if url.startswith(_WEB) else url


def storage_of(url: str) -> str:
    """What two URLs of the same storage have in common: the host or bucket, or the archive."""
    first, chain, rest = url.partition(_CHAIN)
    parts = urlsplit(first)
    return f"{parts.scheme}://{_CHAIN}{rest}" if chain else f"{parts.scheme}://{parts.netloc}"


def expanded(url: str) -> tuple[list[str], bool]:
    """The files that a URL stands for, and whether it is a folder. Raises CannotScoreError."""
    if _PASSWORD.search(url):
        raise CannotScoreError(
            f"{_PASSWORD.sub('://', url)}: has a password, which the output would show: give it to fsspec by "
            "a variable such as FSSPEC_FTP_PASSWORD"
        )
    storage, path = _opened_storage(url)
    try:
        with _as_os_errors():
            web = url.startswith(_WEB)  # to fsspec each web page is a folder of its links
            if not web and _MAGIC.search(path):
                found = storage.glob(path, detail=True)
                return [_url(url, storage, each) for each in sorted(found) if _is_file(found[each])], False
            if not web and storage.isdir(path):
                return [_url(url, storage, each) for each in sorted(_visible(storage, path))], True
            return ([url] if _is_there(storage, path) else []), False
    except OSError as error:
        raise CannotScoreError(f"{shown(url)}: cannot be read: {said(error)}") from error


def open_url(url: str) -> Any:
    """The file behind a URL, for reading. Raises OSError, and so do all its methods."""
    try:
        storage, path = _opened_storage(url)
    except CannotScoreError as error:
        raise OSError(str(error)) from error
    with _as_os_errors():
        return _StorageFile(storage.open(path, "rb"))


def open_in_order(url: str) -> Any:
    """The same for one seek and a read to the end, which any web server can give. Raises OSError."""
    if not url.startswith(_WEB):
        return open_url(url)
    storage, path = _opened_storage(url)
    with _as_os_errors():
        return _StorageFile(storage.open(path, "rb"), lambda: storage.open(path, "rb", block_size=0))


def size_and_mark(url: str) -> tuple[int, str]:
    """The size of a file, 0 where it is not known, and what changes with its content. Raises OSError."""
    storage, path = _opened_storage(url)
    with _as_os_errors():
        facts = storage.info(path)
        tags = [str(facts[name]) for name in _TAGS if name in facts]
        return int(facts.get("size") or 0), " ".join([str(storage.ukey(path)), *tags])


def fresh_mark(url: str) -> str:
    """The size and the mark as they are now, and not as a list of files said before. Raises OSError."""
    storage, path = _opened_storage(url)
    with _as_os_errors():
        storage.invalidate_cache(path)
    return " ".join(map(str, size_and_mark(url)))


def said(error: OSError) -> str:
    """What is wrong, in one line."""
    if isinstance(error, FileNotFoundError) and error.strerror is None:
        return "there is no such file"  # fsspec's has nothing but the URL
    return error.strerror or first_line(error)


class _StorageFile:
    """A file of a storage, for pyarrow. Its errors are OSErrors.

    One of a web server is read by ranges: a connection that waits while a model runs may be closed. `stream`
    opens it for a read from its begin on, if the server has no ranges.
    """

    def __init__(self, file: Any, stream: Callable[[], Any] | None = None) -> None:
        self._file = file
        self._stream = stream

    def __repr__(self) -> str:
        return f"<_StorageFile {self._file!r}>"

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        # A file of a web server that does not say its size says that it can, and cannot.
        return bool(self._file.seekable()) and getattr(self._file, "size", 0) is not None

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer only at the end: a read from a web server may bring what has come so far."""
        with _as_os_errors():
            content = self._read(size)
            if not content or len(content) >= size:
                return content
            pieces, left = [content], size - len(content)
            while left > 0 and (piece := self._read(left)):
                pieces.append(piece)
                left -= len(piece)
            return b"".join(pieces)

    def _read(self, size: int) -> bytes:
        try:
            content: bytes = self._file.read(size)
        except ValueError:  # fsspec's, for a server without ranges
            if self._stream is None:
                raise
            self._begin_again(self._stream)
            content = self._file.read(size)
        return content

    def _begin_again(self, stream: Callable[[], Any]) -> None:
        """Go on at the same place, in a file that is read from its begin on."""
        left, self._stream = self._file.tell(), None
        self._file.close()
        self._file = stream()
        while left > 0 and (piece := self._file.read(min(left, _SKIP_BYTES))):
            left -= len(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        with _as_os_errors():
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        with _as_os_errors():
            self._file.close()

    def __enter__(self) -> _StorageFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened_storage(url: str) -> tuple[Any, str]:
    """The storage and the path in it. Raises CannotScoreError."""
    try:
        import fsspec  # type: ignore[import-untyped] # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError:
        raise CannotScoreError(
            f"{shown(url)}: an input from a URL needs the extra \"url\": pip install 'tfleet[url]'"
        ) from None
    first, chain, _ = url.partition(_CHAIN)
    try:
        if chain:
            # fsspec reads the list of an archive each time that it opens one.
            storage = _archive(storage_of(url))
            return storage, str(storage._strip_protocol(first))
        storage, path = fsspec.core.url_to_fs(url, **_options(url))
    except ImportError as error:
        raise CannotScoreError(f"{shown(url)}: {first_line(error)}: pip install it beside tfleet") from error
    except Exception as error:  # of any kind, see above
        raise CannotScoreError(f"{shown(url)}: cannot be opened: {first_line(error)}") from error
    return storage, str(path)


@lru_cache(maxsize=16)
def _archive(url: str) -> Any:
    """The archive that a chained URL without a name in it stands for."""
    import fsspec  # noqa: PLC0415 - as above

    return fsspec.core.url_to_fs(url)[0]


def _options(url: str) -> dict[str, Any]:
    """Time-outs for HTTP: without them, a long file ends after five minutes, however well it goes."""
    if not url.startswith(_WEB):
        return {}
    import aiohttp  # noqa: PLC0415 - slow to import

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    return {"client_kwargs": {"timeout": timeout}}


def _url(asked: str, storage: Any, path: str) -> str:
    """The URL of a file that another URL stands for."""
    first, chain, rest = asked.partition(_CHAIN)
    if chain:
        return f"{urlsplit(first).scheme}://{path}{chain}{rest}"
    return str(storage.unstrip_protocol(path))


def _is_there(storage: Any, path: str) -> bool:
    """Raises OSError for a server that cannot be reached: to fsspec its files are not there."""
    try:
        storage.info(path)
    except FileNotFoundError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
            raise OSError(first_line(error.__cause__)) from error
        return False
    return True


def _is_file(facts: Any) -> bool:
    return bool(facts.get("type") == "file")


def _visible(storage: Any, folder: str) -> Iterator[str]:
    """The files in a folder and below it, without those that begin with `.` or `_`."""
    root = folder.rstrip("/")
    for path in storage.find(folder):
        below = str(path)[len(root) :].strip("/").split("/")
        if not any(each.startswith((".", "_")) for each in below):
            yield str(path)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, CannotScoreError):
        raise
    except Exception as error:  # of any kind, see above
        raise OSError(f"{type(error).__name__}: {first_line(error)}") from error
