"""Which of a worker's two addresses (LAN or WAN) a client gets, depending on where the client is.

The rules, in this order:

- A worker with only one address has that one for every client.
- A client may choose (`?address=lan` or `wan`).
- A client on the proxy's own machine, or in its container (loopback), reaches what the proxy reaches: LAN.
- A client in a network with both the proxy and the worker gets the worker's address there: LAN.
- Except that a router is in a network with everybody, and outside clients may arrive from its address: a
  Docker engine that publishes a port forwards connections from the network's gateway. So a router's
  address counts as outside.
- All other clients are outside: WAN. If the WAN host is 0.0.0.0, they get the host by which they reached
  the proxy, because that one is known to work.

Behind another proxy, a client's address is in X-Forwarded-For, and the requested host in X-Forwarded-Host.
A client that forges these only gets a wrong answer for itself.
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

AddressKind = Literal["lan", "wan"]

_ANY_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class ClientSide:
    """Where a client is: the `networks` that it shares with the proxy, or its own choice in `wanted`.

    `reached` is the host by which it reached the proxy; empty if unknown.
    """

    networks: tuple[IPNetwork, ...] = ()
    wanted: AddressKind | None = None
    reached: str = ""

    def address(self, instance: Instance) -> Address:
        """Return the worker's address for this client."""
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
        # A host name can be resolved inside the fleet's network, so it is for clients that share one.
        return bool(self.networks) if address is None else any(address in each for each in self.networks)


def side_of(
    client: str | None, networks: Networks, *, wanted: AddressKind | None, reached: str
) -> ClientSide:
    """Return the side of a client with this IP address."""
    address = _ip(client or "")
    if wanted is None and address is not None and address.is_loopback:
        return ClientSide(wanted="lan")
    shared: tuple[IPNetwork, ...] = ()
    if address is not None and address not in networks.routers:
        shared = tuple(each for each in networks.near if address in each)
    return ClientSide(shared, wanted, reached)


class ClientLocation:
    """The location of a request's client; determined only if a worker has two addresses."""

    __slots__ = ("_head", "_networks", "_peer", "_side", "_wanted")

    def __init__(
        self, head: RequestHead, peer: str | None, networks: Networks, wanted: AddressKind | None = None
    ) -> None:
        self._head = head
        self._peer = peer
        self._networks = networks
        self._wanted = wanted
        self._side: ClientSide | None = None

    def address(self, instance: Instance) -> Address:
        """Return the worker's address for this client."""
        if instance.wan is None:
            return instance.address
        if self._side is None:
            self._side = self._locate()
        return self._side.address(instance)

    def _locate(self) -> ClientSide:
        fields = self._head.fields.values
        client = _first(fields.get(b"x-forwarded-for", ())) or self._peer
        host = _first(fields.get(b"x-forwarded-host", ())) or self._head.host.decode("latin-1")
        return side_of(client, self._networks, wanted=self._wanted, reached=_host(host))


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
    # A dual-stack socket has IPv4 clients as ::ffff:a.b.c.d.
    return getattr(address, "ipv4_mapped", None) or address
