"""What an Access stands for, read from its files.

The rules:

- Files are read anew when they change, because tokens and certificates that are worth a file don't last.
- A file that can't be used ends a program that starts. In one that runs it changes nothing: what was read
  last stays in use, and the log says why, once for each change. A certificate is renewed in two files, one
  after the other.
- A change is told from modification time, size and inode, through symbolic links.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from tfleet.discovery.access import Access, BadAccessError
from tfleet.discovery.errors import RegistryUnavailableError
from tfleet.discovery.tls_context import content, context_of, files_of

CONSUL_TOKEN: Final = "X-Consul-Token"  # noqa: S105 - the name of a header
"""The header in which Consul is shown a token."""

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Credentials:
    """A token and a TLS context, as the files have them now. May be asked by any thread; it reads files."""

    def __init__(self, access: Access) -> None:
        self.access = access
        token_file, tls = access.token_file, access.tls
        self._token = (
            None
            if token_file is None
            else _Kept(lambda: [token_file], lambda: _token_in(access.token_file_from, token_file))
        )
        self._context = None if tls is None else _Kept(lambda: files_of(tls), lambda: context_of(tls))

    def __repr__(self) -> str:
        return f"<Credentials {self.access}>"

    @property
    def server_name(self) -> str | None:
        """What the registry's certificate is for; None for the name that is connected to."""
        return None if self.access.tls is None else self.access.tls.server_name

    def check(self) -> None:
        """Raise BadAccessError where a file can't be used."""
        for kept in (self._token, self._context):
            if kept is not None:
                kept.now()

    def headers(self) -> dict[str, str]:
        """What shows the token. Raises RegistryUnavailableError where none could be read yet."""
        token = self.access.token if self._token is None else _had(self._token)
        return {CONSUL_TOKEN: token} if token else {}

    def context(self) -> ssl.SSLContext | None:
        """For the connections to the registry; None without TLS. Raises RegistryUnavailableError."""
        return None if self._context is None else _had(self._context)


class _Kept(Generic[_T]):
    """What was read from files, for as long as they stay as they are."""

    def __init__(self, files: Callable[[], Sequence[Path]], read: Callable[[], _T]) -> None:
        self._files = files
        self._read = read
        self._stamp: object = None
        self._kept: tuple[_T, ...] = ()

    def now(self) -> _T:
        """Raises BadAccessError as long as nothing could be read."""
        stamp = tuple(map(_stamp, self._files()))
        if not self._kept or stamp != self._stamp:
            self._stamp = stamp
            try:
                self._kept = (self._read(),)
            except BadAccessError as error:
                if not self._kept:
                    raise
                _log.warning("the access to the registry is not changed: %s", error)
        return self._kept[0]


def _had(kept: _Kept[_T]) -> _T:
    try:
        return kept.now()
    except BadAccessError as error:
        raise RegistryUnavailableError(str(error)) from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _token_in(name: str, path: Path) -> str:
    token = content(name, path).strip()
    if not token or not token.isascii() or len(token.split()) != 1:
        raise BadAccessError(f"{name}={path}: expected one token and nothing else")
    return token.decode()
