"""Access to a Consul: a token and TLS, from the variables of Consul's own tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# The values of Go's strconv.ParseBool, which Consul uses.
_YES: Final = {"1", "t", "T", "true", "TRUE", "True"}
_NO: Final = {"0", "f", "F", "false", "FALSE", "False"}


# Ours takes precedence: it is set for this fleet's registry only.
_TOKEN_FILES: Final = ("TFLEET_REGISTRY_TOKEN_FILE", "CONSUL_HTTP_TOKEN_FILE")


class BadAccessError(ValueError):
    """A variable or file is invalid. The message is one line that names it and what is wrong."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings. Without `ca_file` and `ca_folder` the system's CAs are trusted. `server_name` is the name
    in the registry's certificate, if it differs from the host name.
    """

    ca_file: Path | None = None
    ca_folder: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    verify: bool = True
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """A token, or a file with one (the file wins, as in Consul's own tools); and TLS, or plain HTTP.

    `token_file_from` is the option or variable that named the file.
    """

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    tls: Tls | None = None
    token_file_from: str = "CONSUL_HTTP_TOKEN_FILE"  # noqa: S105 - the name of a variable

    @property
    def scheme(self) -> str:
        return "http" if self.tls is None else "https"

    def acl_hint(self, service: str) -> str:
        """Return what to check if a list is empty: Consul silently leaves out what a token may not read."""
        needed = f"service:read for {service} and node:read"
        if self.token or self.token_file:
            return f"if Consul has ACLs, the token needs {needed}"
        return f"if Consul has ACLs, set CONSUL_HTTP_TOKEN to a token with {needed}"


def access_from(environ: Mapping[str, str], *, tls: bool) -> Access:
    """Read the variables; those of TLS only with `tls`. Raises BadAccessError."""
    token_file_from = next((name for name in _TOKEN_FILES if environ.get(name)), _TOKEN_FILES[-1])
    return Access(
        token=environ.get("CONSUL_HTTP_TOKEN", "").strip(),
        token_file=_path(environ, token_file_from),
        tls=_tls(environ) if tls else None,
        token_file_from=token_file_from,
    )


def wants_tls(environ: Mapping[str, str]) -> bool:
    """Whether CONSUL_HTTP_SSL asks for TLS. Raises BadAccessError."""
    return _is_set(environ, "CONSUL_HTTP_SSL", default=False)


def _tls(environ: Mapping[str, str]) -> Tls:
    found = Tls(
        ca_file=_path(environ, "CONSUL_CACERT"),
        ca_folder=_path(environ, "CONSUL_CAPATH"),
        client_cert=_path(environ, "CONSUL_CLIENT_CERT"),
        client_key=_path(environ, "CONSUL_CLIENT_KEY"),
        verify=_is_set(environ, "CONSUL_HTTP_SSL_VERIFY", default=True),
        server_name=environ.get("CONSUL_TLS_SERVER_NAME") or None,
    )
    if (found.client_cert is None) != (found.client_key is None):
        raise BadAccessError("CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY are needed together: set both")
    return found


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    text = environ.get(name)
    return Path(text) if text else None


def _is_set(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name)
    if not text:
        return default
    if text not in _YES | _NO:
        raise BadAccessError(f"{name}={text}: expected true or false")
    return text in _YES
