"""Where the proxies are, as people write it: one, several, or a registry that lists them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tfleet.client.proxy_url import BadProxyError, parse_proxy
from tfleet.contract.names import SERVICE, proxies_of
from tfleet.discovery.consul.access import BadAccessError
from tfleet.discovery.registry import BadRegistryError, ConsulRegistry, parse_registry

_CONSUL: Final = ("consul://", "consul+https://")
_SERVICE: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Named:
    """The proxies with these base URLs; one or more, none of them twice."""

    urls: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.urls)


@dataclass(frozen=True, slots=True)
class Listed:
    """The proxies that are registered under the name `service`."""

    registry: ConsulRegistry
    service: str

    def __str__(self) -> str:
        return f"{self.service} in {self.registry}"


Whereabouts: TypeAlias = Named | Listed


def parse_whereabouts(proxy: str | Iterable[str]) -> Whereabouts:
    """Read `--proxy`: addresses as `parse_proxy` takes them, one a string or with commas between, or
    `consul://HOST:PORT`, with `/NAME` after it for a fleet with another name than `tfleet`; or the same with
    `consul+https://`. What that wants is read from the environment, as Consul's own tools do.

    Raises BadProxyError.
    """
    each = [proxy] if isinstance(proxy, str) else list(proxy)
    parts = [part.strip() for text in each for part in text.split(",") if part.strip()]
    if len(parts) == 1 and parts[0].startswith(_CONSUL):
        return _listed(parts[0])
    if any(part.startswith(_CONSUL) for part in parts):
        raise BadProxyError("a registry knows all the proxies: expected consul://HOST:PORT and nothing else")
    urls = tuple(dict.fromkeys(parse_proxy(part) for part in parts or each or [""]))
    return Named(urls)


def _listed(text: str) -> Listed:
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
    return Listed(registry, proxies_of(name or SERVICE))
