"""From where a client asks for a worker, and which of a worker's two addresses is the one for it there.

The rules, in this order:

- A worker that has but one address is known by that to everybody.
- A client that says which it wants (`?address=lan` or `wan`) gets it.
- A client on the proxy's own machine, or in its container (loopback), reaches what the proxy reaches: lan.
- A client that shares a network with the proxy and with the worker gets the worker's address there: lan.
- But a router shares a network with everybody, and clients outside may come in its name: an engine that
  publishes a port passes them on from the network's gateway. So who comes from there is outside.
- Everybody else is outside: wan. Where that is every address of a machine, it is the one by which the client
  has reached the proxy, for it is the one that it is known to reach.

Who is behind another proxy has its own address in X-Forwarded-For, and the name that it asked for in
X-Forwarded-Host. That anybody may write anything there does no harm: the answer is for nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal

from tfleet.contract.address import Address, BadAddressError, is_unspecified
from tfleet.discovery.instance import Instance
from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.p2p.local_networks import IPAddress, IPNetwork, Networks

Wanted = Literal["lan", "wan"]

_ANY_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class NetworkSide:
    """Where a client is: it shares `networks` with the proxy. `wanted` settles it without looking.

    `reached` is the host by which it has reached the proxy; empty where nobody knows.
    """

    networks: tuple[IPNetwork, ...] = ()
    wanted: Wanted | None = None
    reached: str = ""

    def address(self, instance: Instance) -> Address:
        """That of the worker which is for this client."""
        wan = instance.wan
        if (
            wan is None
            or self.wanted == "lan"
            or (self.wanted is None and self._shares(instance.address.host))
        ):
            return instance.address
        if not is_unspecified(wan.host):
            return wan
        return Address(self.reached, wan.port) if self.reached else instance.address

    def _shares(self, host: str) -> bool:
        address = _ip(host)
        # A name is meant for those who can ask for it: whoever is near.
        return bool(self.networks) if address is None else any(address in each for each in self.networks)


def vantage(client: str | None, networks: Networks, *, wanted: Wanted | None, reached: str) -> NetworkSide:
    """That of a client with this IP address, if it is known."""
    address = _ip(client or "")
    if wanted is None and address is not None and address.is_loopback:
        return NetworkSide(wanted="lan")
    shared: tuple[IPNetwork, ...] = ()
    if address is not None and address not in networks.routers:
        shared = tuple(each for each in networks.near if address in each)
    return NetworkSide(shared, wanted, reached)


class ClientLocation:
    """Whoever sent a request, from this IP address. Where that is, is looked up if it makes a difference."""

    __slots__ = ("_head", "_networks", "_peer", "_vantage", "_wanted")

    def __init__(
        self, head: RequestHead, peer: str | None, networks: Networks, wanted: Wanted | None = None
    ) -> None:
        self._head = head
        self._peer = peer
        self._networks = networks
        self._wanted = wanted
        self._vantage: NetworkSide | None = None

    def address(self, instance: Instance) -> Address:
        """That of the worker which is for this client."""
        if instance.wan is None:
            return instance.address
        if self._vantage is None:
            self._vantage = self._look()
        return self._vantage.address(instance)

    def _look(self) -> NetworkSide:
        said = self._head.fields.values
        client = _first(said.get(b"x-forwarded-for", ())) or self._peer
        host = _first(said.get(b"x-forwarded-host", ())) or self._head.host.decode("latin-1")
        return vantage(client, self._networks, wanted=self._wanted, reached=_host(host))


def _first(values: Sequence[bytes]) -> str:
    return values[0].split(b",")[0].strip().decode("latin-1") if values else ""


def _host(text: str) -> str:
    try:
        return Address.parse(text, default_port=_ANY_PORT).host
    except BadAddressError:
        return ""


def _ip(text: str) -> IPAddress | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # What a socket for both kinds calls a client of IPv4.
    return getattr(address, "ipv4_mapped", None) or address
