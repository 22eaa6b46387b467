"""Parse the address of the proxy: one or several URLs, or a registry in which the proxies are registered."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from tfleet.contract.address import Address, BadAddressError
from tfleet.contract.names import PROXY_PORT, SERVICE, proxies_of
from tfleet.discovery.consul.access import BadAccessError
from tfleet.discovery.registry import BadRegistryError, ConsulRegistry, parse_registry

DEFAULT_PROXY: Final = f"http://localhost:{PROXY_PORT}"
_FORMS: Final = "expected HOST:PORT or http://HOST:PORT"
_CONSUL: Final = ("consul://", "consul+https://")
_SERVICE: Final = re.compile(r"[A-Za-z0-9_.-]+")
# A common mistake: the address of one of the proxy's pages instead of the proxy's.
_PAGES: Final = ("/predict", "/worker", "/workers", "/healthz", "/readyz", "/metrics")


class BadProxyError(ValueError):
    """The text is no proxy's address. The message is one line that says what was expected."""


def parse_proxy(text: str) -> str:
    """The base URL, without a trailing slash, of `host:port`, of a bare host or of an http(s) URL.

    A bare host gets the fleet's port; a URL without a port gets the default port of its scheme. A path is a
    prefix for all requests, for a proxy behind another one; the path of one of the proxy's own pages is
    rejected. Raises BadProxyError.
    """
    stripped = text.strip()
    if "://" not in stripped:
        try:
            return Address.parse(stripped.rstrip("/"), default_port=PROXY_PORT).url
        except BadAddressError as error:
            raise BadProxyError(f"{text!r} is not a proxy's address: {_FORMS}") from error
    try:
        parts = urlsplit(stripped)
        port = parts.port
    except ValueError as error:  # the port is not a number, or a bracket is not closed
        raise BadProxyError(f"{text!r} is not a proxy's address ({error}): {_FORMS}") from error
    if parts.scheme not in {"http", "https"}:
        raise BadProxyError(f"{text!r} is neither http nor https: {_FORMS}")
    if not parts.hostname or port == 0 or any(c.isspace() for c in parts.netloc):
        raise BadProxyError(f"{text!r} is not a proxy's address: {_FORMS}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        # The URL is shown in messages, where a password must not be; a query would not reach /predict.
        raise BadProxyError(f"the proxy's address takes no user name, query or fragment: {_FORMS}")
    path = parts.path.rstrip("/")
    if path.endswith(_PAGES):
        page = path.rpartition("/")[2]
        base = f"{parts.scheme}://{parts.netloc}{path.removesuffix(f'/{page}')}"
        raise BadProxyError(f"{text!r} is the address of a page: without /{page} it is the proxy's, {base}")
    return f"{parts.scheme}://{parts.netloc}{path}"


@dataclass(frozen=True, slots=True)
class NamedProxies:
    """The proxies with these base URLs; one or more, none of them twice."""

    urls: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.urls)


@dataclass(frozen=True, slots=True)
class ProxiesInRegistry:
    """The proxies that are registered under the name `service`."""

    registry: ConsulRegistry
    service: str

    def __str__(self) -> str:
        return f"{self.service} in {self.registry}"


ProxyAddresses: TypeAlias = NamedProxies | ProxiesInRegistry


def parse_proxies(proxy: str | Iterable[str]) -> ProxyAddresses:
    """Parse `--proxy`: addresses for `parse_proxy`, in several strings or separated by commas, or a registry.

    A registry is `consul://HOST:PORT` or `consul+https://HOST:PORT`, with `/NAME` if the fleet's name is not
    `tfleet`. Its token and certificates come from the environment variables of Consul's own tools. Raises
    BadProxyError.
    """
    each = [proxy] if isinstance(proxy, str) else list(proxy)
    parts = [part.strip() for text in each for part in text.split(",") if part.strip()]
    if len(parts) == 1 and parts[0].startswith(_CONSUL):
        return _listed(parts[0])
    if any(part.startswith(_CONSUL) for part in parts):
        raise BadProxyError("a registry knows all the proxies: expected consul://HOST:PORT and nothing else")
    urls = tuple(dict.fromkeys(parse_proxy(part) for part in parts or each or [""]))
    return NamedProxies(urls)


def _listed(text: str) -> ProxiesInRegistry:
    scheme, _, rest = text.partition("//")
    address, _, name = rest.rstrip("/").partition("/")
    if name and not _SERVICE.fullmatch(name):
        raise BadProxyError(f"{text!r} names no service: expected {scheme}//HOST:PORT/NAME")
    try:
        registry = parse_registry(f"{scheme}//{address}", os.environ)
    except BadRegistryError as error:
        if isinstance(error.__cause__, BadAccessError):
            raise BadProxyError(str(error)) from error
        raise BadProxyError(f"{text!r} is no registry's address: expected {scheme}//HOST:PORT") from error
    assert isinstance(registry, ConsulRegistry)
    return ProxiesInRegistry(registry, proxies_of(name or SERVICE))
