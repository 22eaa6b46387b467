"""Protection against requests that a web page sends without its user's knowledge (CSRF, DNS rebinding).

Any web page that a user opens can send requests to every host that the browser can reach, private networks
included. The rules:

- Browsers set `Origin` and `Sec-Fetch-Site`, and pages cannot forge them. Both must name the requested
  host itself. Programs (curl, Consul's clients, tfleet's own) send neither. A browser also sends neither
  with a plain GET to a private address over http: so no GET may change state here, and the page cannot
  read the response.
- With DNS rebinding, a page's own host name resolves to this server, so `Origin` and `Host` match.
  Therefore `Host` must be an IP address, a name that cannot be registered in public DNS (`localhost`, a
  name without a dot such as `consul`, .local, .internal and similar, names that end in `_default` or
  similar), this machine's own name, or a name that the operator allowed.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import threading
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import urlsplit

from tfleet.contract.address import is_unspecified


class Machine:
    """This machine's host names: the short one immediately, the fully qualified one when the resolver has
    answered.
    """

    def __init__(
        self, short: Callable[[], str] = socket.gethostname, full: Callable[[], str] = socket.getfqdn
    ) -> None:
        self._short = short().lower()
        self._full = self._short
        self._resolve = full
        if "." not in self._short:
            # In a thread: a resolver that does not answer can take seconds.
            threading.Thread(target=self._look_up_full, name="machine-name", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Machine {self._full}>"

    @property
    def names(self) -> frozenset[str]:
        """The names, in lower case."""
        return frozenset({self._short, self._full})

    def _look_up_full(self) -> None:
        found = self._resolve().lower().rstrip(".")
        # Reverse DNS may return a provider's name for the address: ignore names that are not ours.
        if found.startswith(f"{self._short}."):
            self._full = found


@functools.cache
def machine() -> Machine:
    """Return the names of this machine. The first call starts the lookup of the full name."""
    return Machine()


Header = Callable[[str], str | None]
"""Returns a header field of the request by name, None if it is absent."""

_HARMLESS_SITES: Final = frozenset({"same-origin", "none"})  # none: the user typed the address
# Reserved (RFC 6761, 6762, 8375, ICANN's decision on .internal), or so common in private networks that no
# public registry delegates them.
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
_MAX_CHARS: Final = 100


def foreign_host(header: Header, names: Collection[str]) -> str | None:
    """Return the name in `Host` if it is neither in `names` nor certain to be private; otherwise None.

    A request without `Host` does not come from a browser.
    """
    host = _host_of(header("Host") or "")
    if not host or _is_private(host) or host in own_names(names) | machine().names:
        return None
    return host[:_MAX_CHARS]


def foreign_page(header: Header) -> str | None:
    """Describe the web page of another site that sent the request; None if no such page did."""
    origin, site = header("Origin"), header("Sec-Fetch-Site")
    if origin in {"", "null"}:
        return "a web page that hides its origin"
    if origin is not None and _authority(origin) != (header("Host") or "").lower():
        return f"a web page of {origin[:_MAX_CHARS]}"
    if site is not None and site not in _HARMLESS_SITES:
        return "a web page of another site"
    return None


def own_names(names: Collection[str]) -> set[str]:
    """Return those of the names that mean one machine, in the form that `Host` has. 0.0.0.0 means all."""
    return {name.lower().rstrip(".") for name in names if not is_unspecified(name)}


def _is_private(host: str) -> bool:
    # IPv6 addresses have no dot, either.
    if "." not in host or host.endswith(_PRIVATE_ZONES):
        return True
    if (
        "_" in host.rpartition(".")[2]
    ):  # CONTAINER.PROJECT_default: no public top-level domain has an underscore
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
