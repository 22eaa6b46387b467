"""HOST:PORT addresses: parsing, and what kind of host an address names."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

_MAX_PORT = 65535
_MAX_NAME = 253
LOCALHOST: Final = "localhost"
"""Listening on this name means 127.0.0.1 and, where the machine has IPv6, ::1."""

_UNSPECIFIED = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not bound to
# As resolvers take them (RFC 1123 section 2.1), and underscores, which container networks use.
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?", re.IGNORECASE)


class BadAddressError(ValueError):
    """The text is not HOST:PORT. The message is one line that says what was expected."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A network address: `host` is a name or an IP address without brackets, `port` is 1 to 65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL without a trailing slash."""
        return f"http://{self}"

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None) -> Address:
        """Read `host:port`, `[v6]:port` or, with a default port, a bare host.

        Raises BadAddressError where the text has none of these forms or the port is outside 1 to 65535.
        """
        host, port_text = _split(text.strip())
        if not is_host(host):
            raise BadAddressError(f"{text!r} is not an address: expected HOST:PORT")
        if not port_text:
            if default_port is None:
                raise BadAddressError(f"{text!r} has no port: expected HOST:PORT")
            return cls(host, default_port)
        if not (port_text.isascii() and port_text.isdigit() and 1 <= int(port_text) <= _MAX_PORT):
            raise BadAddressError(f"{text!r} has no usable port: expected a number from 1 to {_MAX_PORT}")
        return cls(host, int(port_text))


def address_of(host: object, port: object) -> Address | None:
    """Return the address for a host and a port of unknown types; None if no client could connect to it."""
    if isinstance(host, str) and is_host(host) and isinstance(port, int) and not isinstance(port, bool):
        return Address(host, port) if 1 <= port <= _MAX_PORT else None
    return None


def is_unspecified(host: str) -> bool:
    """Whether the host means every interface of the machine (0.0.0.0, ::). A client cannot connect to it."""
    return host in _UNSPECIFIED


def is_loopback(host: str) -> bool:
    """Whether the host, as written, is the local machine. No name is looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == LOCALHOST or host.endswith(".localhost")


def is_host(text: str) -> bool:
    """Whether the text is an IP address without brackets, or a valid host name."""
    # An IPv4 address matches this pattern as well.
    if _NAME.fullmatch(text):
        return len(text) <= _MAX_NAME
    try:
        return "%" not in text and ipaddress.ip_address(text).version > 0
    except ValueError:
        return False


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return "", ""
        return host, rest[1:]
    # An IPv6 address without brackets: its last group could be read as a port.
    if text.count(":") > 1:
        return "", ""
    host, _, port = text.partition(":")
    return host, port
