"""Whether a web page has sent a request that it has no business to send, by what the request's head says.

A browser is a way into a private network: any page that somebody looks at may send requests to whatever his
machine can reach. The rules:

- `Origin` and `Sec-Fetch-Site` are a browser's, and no page can forge them. What they say has to be the very
  place that is asked. Programs (curl, Consul's clients, tfleet's own) send neither.
- A page whose own name is made to lead here (DNS rebinding) is at that very place, for the browser. But then
  `Host` is its name: one that somebody on the internet can own and that is none of ours. So `Host` has to be
  an IP address, a name that nobody there can own (`localhost`, one without a dot such as `consul`, one under
  .local, .internal and the like), this machine's own name, or one of those that somebody named.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import urlsplit

Header = Callable[[str], str | None]
"""Gives a field of the head by its name, None where there is none."""

_HARMLESS_SITES: Final = frozenset({"same-origin", "none"})  # none: somebody has typed the address
# Reserved (RFC 6761, 6762, 8375, ICANN's decision on .internal), or in use in so many networks that they are
# never given away.
_PRIVATE_ZONES: Final = (
    ".localhost",
    ".local",
    ".internal",
    ".home.arpa",
    ".test",
    ".localdomain",
    ".lan",
    ".consul",
)
_MOST_CHARS: Final = 100


def foreign_host(header: Header, names: Collection[str]) -> str | None:
    """The name in `Host` where it is none of `names` and none that can only be ours; else None.

    Who says no host at all is no browser.
    """
    host = _host_of(header("Host") or "")
    if not host or _is_private(host) or host in _own(names):
        return None
    return host[:_MOST_CHARS]


def foreign_page(header: Header) -> str | None:
    """Who sent it where that is another site's page, in words; else None."""
    origin, site = header("Origin"), header("Sec-Fetch-Site")
    if origin is not None and _authority(origin) != (header("Host") or "").lower():
        return (
            f"a web page of {origin[:_MOST_CHARS]}"
            if origin != "null"
            else "a web page that hides its origin"
        )
    if site is not None and site not in _HARMLESS_SITES:
        return "a web page of another site"
    return None


def _own(names: Collection[str]) -> set[str]:
    return {name.lower().rstrip(".") for name in (*names, socket.gethostname())}


def _is_private(host: str) -> bool:
    if "." not in host or host.endswith(_PRIVATE_ZONES):  # so does an IPv6 address
        return True
    try:
        return ipaddress.ip_address(host).version > 0
    except ValueError:
        return False


def _host_of(authority: str) -> str:
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.partition(":")[0].lower().rstrip(".")


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
