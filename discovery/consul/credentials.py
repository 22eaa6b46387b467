"""A TLS context from the files that an Access names.

What an Access stands for, read from its files.

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

from tfleet.discovery.consul.access import Access, BadAccessError, Tls
from tfleet.discovery.errors import RegistryUnavailableError


def files_of(tls: Tls) -> list[Path]:
    """All that it names, for who wants to know of changes."""
    in_folder = [] if tls.ca_folder is None else [tls.ca_folder, *sorted(tls.ca_folder.glob("*"))]
    found = [tls.ca_file, *in_folder, tls.client_cert, tls.client_key]
    return [path for path in found if path is not None]


def context_of(tls: Tls) -> ssl.SSLContext:
    """What its files say now. Raises BadAccessError."""
    # No create_default_context(): from Python 3.13 on it is stricter than Consul's own tools.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca_file is not None:  # which wins, as with Consul's own tools
        _trust(context, "CONSUL_CACERT", tls.ca_file)
    elif tls.ca_folder is not None:
        for path in _cas_in(tls.ca_folder):
            _trust(context, "CONSUL_CAPATH", path)
    else:
        context.load_default_certs()
    # An intermediate CA may be the one to trust, as for Consul's own tools.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.client_cert is not None and tls.client_key is not None:
        _show(context, tls.client_cert, tls.client_key)
    return context


def _cas_in(folder: Path) -> list[Path]:
    """Each file, whatever its name, as Consul's own tools take it; hidden ones are how Kubernetes exchanges a
    folder.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise BadAccessError(f"CONSUL_CAPATH={folder}: {_words(error)}") from error
    if not found:
        raise BadAccessError(f"CONSUL_CAPATH={folder}: there is no file in it")
    return found


def _trust(context: ssl.SSLContext, name: str, path: Path) -> None:
    content(name, path)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise BadAccessError(f"{name}={path}: it holds no certificates in PEM ({_words(error)})") from error


def _show(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    content("CONSUL_CLIENT_CERT", cert)
    content("CONSUL_CLIENT_KEY", key)
    try:
        context.load_cert_chain(cert, key, password="")  # without one OpenSSL would ask at the terminal
    except (OSError, ValueError) as error:
        raise BadAccessError(
            f"CONSUL_CLIENT_CERT={cert} with CONSUL_CLIENT_KEY={key}: they are no certificate and its key, "
            f"both in PEM and without a password ({_words(error)})"
        ) from error


def content(name: str, path: Path) -> bytes:
    """Of the file that a variable names. Raises BadAccessError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadAccessError(f"{name}={path}: {_words(error)}") from error


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    text = error.strerror if isinstance(error, OSError) else None
    return (text or str(error)).lower()


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
