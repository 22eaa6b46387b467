"""Parsing of `--registry`: which kind of registry, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from tfleet.contract.address import Address, BadAddressError
from tfleet.contract.names import REGISTRY_PORT
from tfleet.discovery.consul.access import Access, BadAccessError, access_from, wants_tls

_TOKEN_OPTION = "--registry-token-file"  # noqa: S105 - the name of an option
_CONSUL_PORT = 8500
_CONSUL_HTTPS_PORT = 8501
_FORMS = "consul://HOST:8500, consul+https://HOST:8501, embedded, or static:HOST:PORT,HOST:PORT"


class BadRegistryError(ValueError):
    """The text is not a valid registry. The message is one line with the valid forms."""


@dataclass(frozen=True, slots=True)
class ConsulRegistry:
    """A server that speaks Consul's HTTP API: Consul itself, or the embedded registry of another process."""

    address: Address
    access: Access = field(default_factory=Access)

    def __str__(self) -> str:
        return f"{'consul' if self.access.tls is None else 'consul+https'}://{self.address}"

    @property
    def url(self) -> str:
        """The base URL without a trailing slash."""
        return f"{self.access.scheme}://{self.address}"


@dataclass(frozen=True, slots=True)
class EmbeddedRegistry:
    """The registry that the proxy runs itself, at `address`; all other processes use it like a Consul.

    With `token_file` it requires the token in that file; the variables for a Consul's token do not apply.
    It saves keys and values in the folder `data_dir`; without one they are in memory only.
    """

    address: Address
    token_file: Path | None = None
    data_dir: Path | None = None

    def __str__(self) -> str:
        return f"embedded ({self.address})"

    @property
    def access(self) -> Access:
        """The token that it requires, and that clients send."""
        return _with_file(Access(), self.token_file)


@dataclass(frozen=True, slots=True)
class StaticRegistry:
    """A fixed list of addresses that the proxy routes to; no process registers.

    Workers do not use the list, so it may be empty.
    """

    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        return "static:" + ",".join(map(str, self.addresses))


Registry: TypeAlias = ConsulRegistry | EmbeddedRegistry | StaticRegistry


def parse_registry(
    text: str | None,
    environ: Mapping[str, str] | None = None,
    *,
    port: int = REGISTRY_PORT,
    token_file: Path | None = None,
) -> Registry:
    """Parse the option; without it, CONSUL_HTTP_ADDR of the environment, otherwise the embedded registry.

    `port` is the embedded registry's port on loopback. `token_file` is from `--registry-token-file`, which
    takes precedence over the variables. CONSUL_HTTP_SSL applies to CONSUL_HTTP_ADDR only; the option
    itself says whether TLS is used. No file is read. Raises BadRegistryError.
    """
    registry = _parsed(text, environ or {}, port)
    if isinstance(registry, ConsulRegistry):
        return replace(registry, access=_with_file(registry.access, token_file))
    return replace(registry, token_file=token_file) if isinstance(registry, EmbeddedRegistry) else registry


def _with_file(access: Access, token_file: Path | None) -> Access:
    if token_file is None:
        return access
    return replace(access, token_file=token_file, token_file_from=_TOKEN_OPTION)


def _parsed(text: str | None, environ: Mapping[str, str], port: int) -> Registry:
    if not text and (variable := environ.get("CONSUL_HTTP_ADDR")):
        return _consul_http_addr(variable, environ)
    if not text or text == "embedded":
        return EmbeddedRegistry(Address("127.0.0.1", port))
    kind, _, rest = text.partition(":")
    try:
        if kind in {"consul", "consul+https"} and rest.startswith("//"):
            return _consul(rest[2:].rstrip("/"), environ, tls=kind == "consul+https")
        if kind == "static":
            return StaticRegistry(tuple(Address.parse(part) for part in rest.split(",") if part.strip()))
    except BadAddressError as error:
        raise BadRegistryError(f"--registry {text}: {error}") from error
    raise BadRegistryError(f"--registry {text!r} is not a registry: expected {_FORMS}")


def _consul_http_addr(text: str, environ: Mapping[str, str]) -> ConsulRegistry:
    parts = urlsplit(text if "//" in text else f"//{text}")
    if parts.scheme not in {"", "http", "https"}:
        raise BadRegistryError(f"CONSUL_HTTP_ADDR={text}: expected http or https, not {parts.scheme}")
    try:
        return _consul(parts.netloc, environ, tls=wants_tls(environ) or parts.scheme == "https")
    except BadAddressError as error:
        raise BadRegistryError(f"CONSUL_HTTP_ADDR={text}: {error}") from error
    except BadAccessError as error:
        raise BadRegistryError(str(error)) from error


def _consul(text: str, environ: Mapping[str, str], *, tls: bool) -> ConsulRegistry:
    """Raises BadAddressError, and BadRegistryError if the related variables are invalid."""
    address = Address.parse(text, default_port=_CONSUL_HTTPS_PORT if tls else _CONSUL_PORT)
    try:
        access = access_from(environ, tls=tls)
    except BadAccessError as error:
        raise BadRegistryError(str(error)) from error
    return ConsulRegistry(address, access)
