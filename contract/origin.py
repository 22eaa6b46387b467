"""The names of the machine that this runs on.

Whether a web page has sent a request that it has no business to send, by what the request's head says.

A browser is a way into a private network: any page that somebody looks at may send requests to whatever his
machine can reach. The rules:

- `Origin` and `Sec-Fetch-Site` are a browser's, and no page can forge them. What they say has to be the very
  place that is asked. Programs (curl, Consul's clients, tfleet's own) send neither. Nor does a browser with a
  plain GET to a private address over http: so nothing here may change anything on a GET, and its answer can't
  be read by the page.
- A page whose own name is made to lead here (DNS rebinding) is at that very place, for the browser. But then
  `Host` is its name: one that somebody on the internet can own and that is none of ours. So `Host` has to be
  an IP address, a name that nobody there can own (`localhost`, one without a dot such as `consul`, one under
  .local, .internal and the like, one that ends in `_default` or so), this machine's own name, or one of those
  that somebody named.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import threading
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import urlsplit

from tfleet.contract.address import is_everywhere


class Machine:
    """Knows its short name at once, and the full one when the resolver has said it, maybe seconds later."""

    def __init__(
        self, short: Callable[[], str] = socket.gethostname, full: Callable[[], str] = socket.getfqdn
    ) -> None:
        self._short = short().lower()
        self._full = self._short
        self._look_up = full
        if "." not in self._short:
            threading.Thread(target=self._look, name="machine-name", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Machine {self._full}>"

    @property
    def names(self) -> frozenset[str]:
        """In small letters."""
        return frozenset({self._short, self._full})

    def _look(self) -> None:
        found = self._look_up().lower().rstrip(".")
        # What is another name altogether is whatever DNS says of the address, which may be a provider's.
        if found.startswith(f"{self._short}."):
            self._full = found


@functools.cache
def machine() -> Machine:
    """This one; its full name is looked up from the first call on, once."""
    return Machine()


Header = Callable[[str], str | None]
"""Gives a field of the head by its name, None where there is none."""

_HARMLESS_SITES: Final = frozenset({"same-origin", "none"})  # none: somebody has typed the address
# Reserved (RFC 6761, 6762, 8375, ICANN's decision on .internal), or in use in so many networks that they are
# not given away so far.
_PRIVATE_ZONES: Final = (
    ".localhost",
    ".local",
    ".internal",
    ".home.arpa",
    ".test",
    ".localdomain",
    ".lan",
    ".consul",
    ".svc",  # SERVICE.NAMESPACE.svc, the short form in a Kubernetes
)
_MOST_CHARS: Final = 100


def foreign_host(header: Header, names: Collection[str]) -> str | None:
    """The name in `Host` where it is none of `names` and none that can only be ours; else None.

    Who says no host at all is no browser.
    """
    host = _host_of(header("Host") or "")
    if not host or _is_private(host) or host in own_names(names) | machine().names:
        return None
    return host[:_MOST_CHARS]


def foreign_page(header: Header) -> str | None:
    """Who sent it where that is another site's page, in words; else None."""
    origin, site = header("Origin"), header("Sec-Fetch-Site")
    if origin in {"", "null"}:
        return "a web page that hides its origin"
    if origin is not None and _authority(origin) != (header("Host") or "").lower():
        return f"a web page of {origin[:_MOST_CHARS]}"
    if site is not None and site not in _HARMLESS_SITES:
        return "a web page of another site"
    return None


def own_names(names: Collection[str]) -> set[str]:
    """Those of the names that mean one machine, as `Host` has them: 0.0.0.0 is whichever one asks."""
    return {name.lower().rstrip(".") for name in names if not is_everywhere(name)}


def _is_private(host: str) -> bool:
    if "." not in host or host.endswith(_PRIVATE_ZONES):  # an IPv6 address has no dot, either
        return True
    if "_" in host.rpartition(".")[2]:  # CONTAINER.PROJECT_default: no public zone has such a name
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
