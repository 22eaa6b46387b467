"""A TLS context from the files that an Access names."""

from __future__ import annotations

import ssl
from pathlib import Path

from tfleet.discovery.access import BadAccessError, Tls


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
