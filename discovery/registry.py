"""What `--registry` may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from tfleet.discovery.address import Address, BadAddressError
from tfleet.discovery.contract import REGISTRY_PORT

_CONSUL_PORT = 8500
_FORMS = "consul://HOST:8500, embedded, or static:HOST:PORT,HOST:PORT"


class BadRegistryError(ValueError):
    """The text names no registry. The message is one line with the forms that are known."""


@dataclass(frozen=True, slots=True)
class ConsulRegistry:
    """A server that speaks Consul's HTTP API: Consul itself, or the embedded registry of another process."""

    address: Address

    def __str__(self) -> str:
        return f"consul://{self.address}"


@dataclass(frozen=True, slots=True)
class EmbeddedRegistry:
    """The registry that the proxy hosts itself, at `address`; everybody else speaks Consul to it there."""

    address: Address

    def __str__(self) -> str:
        return f"embedded ({self.address})"


@dataclass(frozen=True, slots=True)
class StaticRegistry:
    """A fixed list: nobody registers anywhere, the proxy routes to these addresses.

    A worker needs none of them, so the list may be empty.
    """

    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        return "static:" + ",".join(map(str, self.addresses))


Registry: TypeAlias = ConsulRegistry | EmbeddedRegistry | StaticRegistry


def parse_registry(
    text: str | None, *, consul_http_addr: str | None = None, port: int = REGISTRY_PORT
) -> Registry:
    """Read the option; without one `consul_http_addr` (the variable CONSUL_HTTP_ADDR), else embedded.

    `port` is where the embedded registry listens, on loopback. Raises BadRegistryError.
    """
    if not text and consul_http_addr:
        return _consul_http_addr(consul_http_addr)
    if not text or text == "embedded":
        return EmbeddedRegistry(Address("127.0.0.1", port))
    kind, _, rest = text.partition(":")
    try:
        if kind == "consul" and rest.startswith("//"):
            return ConsulRegistry(Address.parse(rest[2:].rstrip("/"), default_port=_CONSUL_PORT))
        if kind == "static":
            return StaticRegistry(tuple(Address.parse(part) for part in rest.split(",") if part.strip()))
    except BadAddressError as error:
        raise BadRegistryError(f"--registry {text}: {error}") from error
    raise BadRegistryError(f"--registry {text!r} is not known: expected {_FORMS}")


def _consul_http_addr(text: str) -> ConsulRegistry:
    parts = urlsplit(text if "//" in text else f"//{text}")
    if parts.scheme not in {"", "http"}:
        raise BadRegistryError(f"CONSUL_HTTP_ADDR={text}: only http is spoken, not {parts.scheme}")
    try:
        return ConsulRegistry(Address.parse(parts.netloc, default_port=_CONSUL_PORT))
    except BadAddressError as error:
        raise BadRegistryError(f"CONSUL_HTTP_ADDR={text}: {error}") from error
