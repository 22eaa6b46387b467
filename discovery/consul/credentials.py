"""The token and the TLS context of an Access, read from its files and reloaded when these change.

The rules:

- Files are read again when they change: tokens and certificates in files are replaced regularly.
- At start, an unusable file is an error. While the program runs it changes nothing: the last good values
  stay in use, and the log says why, once for each change. A certificate and its key are replaced one after
  the other, so that they do not match for a moment.
- A change is detected by modification time, size and inode; symbolic links are followed.
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
    """Return all files that these settings name, to watch them for changes."""
    in_folder = [] if tls.ca_folder is None else [tls.ca_folder, *sorted(tls.ca_folder.glob("*"))]
    found = [tls.ca_file, *in_folder, tls.client_cert, tls.client_key]
    return [path for path in found if path is not None]


def context_of(tls: Tls) -> ssl.SSLContext:
    """Build a TLS context from the files as they are now. Raises BadAccessError."""
    # Not create_default_context(): from Python 3.13 on it is stricter than Consul's own tools.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca_file is not None:  # it wins over the folder, as in Consul's own tools
        _trust(context, "CONSUL_CACERT", tls.ca_file)
    elif tls.ca_folder is not None:
        for path in _cas_in(tls.ca_folder):
            _trust(context, "CONSUL_CAPATH", path)
    else:
        context.load_default_certs()
    # An intermediate CA may be the trust anchor, as in Consul's own tools.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.client_cert is not None and tls.client_key is not None:
        _load_client_cert(context, tls.client_cert, tls.client_key)
    return context


def _cas_in(folder: Path) -> list[Path]:
    """Return all files of the folder, whatever their names, as Consul's own tools do. Hidden ones are
    skipped: Kubernetes uses them to replace a mounted folder.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise BadAccessError(f"CONSUL_CAPATH={folder}: {_error_text(error)}") from error
    if not found:
        raise BadAccessError(f"CONSUL_CAPATH={folder}: the folder is empty")
    return found


def _trust(context: ssl.SSLContext, name: str, path: Path) -> None:
    read_file(name, path)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise BadAccessError(f"{name}={path}: expected certificates in PEM ({_error_text(error)})") from error


def _load_client_cert(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    read_file("CONSUL_CLIENT_CERT", cert)
    read_file("CONSUL_CLIENT_KEY", key)
    try:
        context.load_cert_chain(cert, key, password="")  # without a password OpenSSL would prompt for it
    except (OSError, ValueError) as error:
        raise BadAccessError(
            f"CONSUL_CLIENT_CERT={cert} with CONSUL_CLIENT_KEY={key}: expected a certificate and its key, "
            f"both in PEM and without a password ({_error_text(error)})"
        ) from error


def read_file(name: str, path: Path) -> bytes:
    """Read the file that a variable names. Raises BadAccessError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadAccessError(f"{name}={path}: {_error_text(error)}") from error


def _error_text(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    text = error.strerror if isinstance(error, OSError) else None
    return (text or str(error)).lower()


CONSUL_TOKEN: Final = "X-Consul-Token"  # noqa: S105 - the name of a header
"""The header that carries the token."""

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Credentials:
    """The current token and TLS context. Thread-safe; its methods read files, so they may block."""

    def __init__(self, access: Access) -> None:
        self.access = access
        token_file, tls = access.token_file, access.tls
        self._token = (
            None
            if token_file is None
            else _Reloaded(lambda: [token_file], lambda: _token_in(access.token_file_from, token_file))
        )
        self._context = None if tls is None else _Reloaded(lambda: files_of(tls), lambda: context_of(tls))

    def __repr__(self) -> str:
        return f"<Credentials {self.access}>"

    @property
    def server_name(self) -> str | None:
        """The name in the registry's certificate; None for the host name of the connection."""
        return None if self.access.tls is None else self.access.tls.server_name

    def check(self) -> None:
        """Raise BadAccessError if a file is unusable."""
        for kept in (self._token, self._context):
            if kept is not None:
                kept.now()

    def headers(self) -> dict[str, str]:
        """Return the header with the token. Raises RegistryUnavailableError if it could never be read."""
        token = self.access.token if self._token is None else _current(self._token)
        return {CONSUL_TOKEN: token} if token else {}

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context; None without TLS. Raises RegistryUnavailableError if it could never be
        read.
        """
        return None if self._context is None else _current(self._context)


class _Reloaded(Generic[_T]):
    """A value read from files, reloaded when they change."""

    def __init__(self, files: Callable[[], Sequence[Path]], read: Callable[[], _T]) -> None:
        self._files = files
        self._read = read
        self._stamp: object = None
        self._kept: tuple[_T, ...] = ()

    def now(self) -> _T:
        """Return the current value. Raises BadAccessError while no value could be read."""
        stamp = tuple(map(_stamp, self._files()))
        if not self._kept or stamp != self._stamp:
            self._stamp = stamp
            try:
                self._kept = (self._read(),)
            except BadAccessError as error:
                if not self._kept:
                    raise
                _log.warning("the credentials for the registry are unchanged: %s", error)
        return self._kept[0]


def _current(kept: _Reloaded[_T]) -> _T:
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
    token = read_file(name, path).strip()
    if not token or not token.isascii() or len(token.split()) != 1:
        raise BadAccessError(f"{name}={path}: expected one token and nothing else")
    return token.decode()
