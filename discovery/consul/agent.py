"""The registry as a worker sees it: register, heartbeat, look, deregister. Synchronous, through py-consul.

Makes a registration go, whatever its id is.

An agent takes the id of what it is to forget in a path, and there not every id can stand: Consul refuses one
with control characters, and takes `..` and `//` for a way through the path (`../../leave` would make the
agent leave its fleet). Such an id can be registered all the same, for then it is in a body.

So it is registered once more, over what was there: under another name, which takes it off the list of the
service at once, with a check that nobody will ever keep alive, which makes the agent forget it by itself.
Nobody can have it back by a heartbeat, either: that has the id in its path, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import consul
from consul.exceptions import ConsulException

from tfleet.contract.address import Address
from tfleet.contract.names import WAN
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.client import ConsulClient, asked
from tfleet.discovery.consul.several_agents import living_nodes
from tfleet.discovery.errors import (
    Loss,
    RegistrationLostError,
    RegistryRefusedError,
    RegistryUnavailableError,
)
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus, listings, read_roll

_T = TypeVar("_T")

REMOVE_AFTER: Final = "1m"
"""How long a dead worker stays listed. One minute is the least that Consul grants, see
DeregisterCriticalServiceAfter in https://developer.hashicorp.com/consul/api-docs/agent/check."""

_NAMES_ASKED: Final = 5
_NOTHING_LEFT: Final = "Unknown service"
"""What a Consul with ACLs answers, with 500, where there is no such service in its catalog any more."""


class RegistryAgent(Protocol):
    """What a registration needs of a registry. Every method raises a RegistryError."""

    @property
    def address(self) -> Address:
        """Where the registry answers."""

    def register(self, instance: Instance) -> None:
        """Make the instance known and passing. Doing it again replaces it."""

    def heartbeat(self, instance: Instance) -> None:
        """Say that it lives. Raises RegistrationLostError where the agent does not know it."""

    def look(self, instance: Instance) -> None:
        """Raises RegistrationLostError unless everybody who reads the catalog sees it as passing.

        One in maintenance need not pass: nobody is to be sent to it, and registering again would not help.
        """

    def nodes(self, instance: Instance) -> frozenset[str]:
        """The nodes of the agents that answer at the address, as far as can be told: one if all is well."""

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        """The instances of the service that are registered at an address, ordered by id."""

    def deregister(self, instance: Instance) -> None:
        """Forget it. One that is not known is no error."""


class ConsulAgent:
    """An Agent over Consul's HTTP API.

    `ttl_s` is how long the registry believes in the worker without a heartbeat, `timeout_s` bounds each call.

    A look costs the registry a search of one node's checks; what it would cost to search the service grows
    with the fleet, once for each worker of it. So the node is looked up once, after each registration.
    """

    def __init__(
        self,
        address: Address,
        service: str,
        *,
        ttl_s: float,
        access: Access | None = None,
        timeout_s: float = 3.0,
    ) -> None:
        access = access or Access()
        self.address = address
        self._service = service
        self._ttl = f"{ttl_s:g}s"
        self._where = f"the registry at {address}"
        shows_token = bool(access.token or access.token_file)
        self._perhaps = f"; {access.reading(service)}" if shows_token else ""
        self._consul = ConsulClient(address, access, timeout_s=timeout_s)
        self._node = ""

    def __repr__(self) -> str:
        return f"<ConsulAgent {self._where}>"

    def register(self, instance: Instance) -> None:
        self._node = ""
        wan = instance.wan
        check = {"TTL": self._ttl, "Status": "passing", "DeregisterCriticalServiceAfter": REMOVE_AFTER}
        self._call(
            lambda: self._consul.agent.service.register(
                self._service,
                service_id=instance.id,
                address=instance.address.host,
                port=instance.address.port,
                meta={"model": instance.model, "version": instance.version},
                check=check,
                tagged_addresses=None if wan is None else {WAN: {"address": wan.host, "port": wan.port}},
            )
        )
        # Registering what is registered already leaves its check as it was, critical perhaps.
        self.heartbeat(instance)

    def heartbeat(self, instance: Instance) -> None:
        try:
            known = self._call(lambda: self._consul.agent.check.ttl_pass(_check_of(instance)))
        except RegistryUnavailableError as error:
            # Consul answers 500 for a check that it does not know, and only the text tells that apart.
            if isinstance(error.__cause__, ConsulException) and "TTL" in str(error.__cause__):
                raise self._lost(Loss.FORGOTTEN, f"does not know {instance.id}") from error
            raise
        if not known:  # Consul 1.11 and later say it with 404, which py-consul turns into False
            raise self._lost(Loss.FORGOTTEN, f"does not know {instance.id}")

    def look(self, instance: Instance) -> None:
        status = self._catalog_status(instance)
        if status is None:
            raise self._lost(
                Loss.UNLISTED, f"takes heartbeats of {instance.id}, but does not list it{self._perhaps}"
            )
        if status != ListingStatus.PASSING and not self._in_maintenance(instance):
            raise self._lost(Loss.NOT_PASSING, f"takes heartbeats of {instance.id}, but lists it as {status}")

    def nodes(self, instance: Instance) -> frozenset[str]:
        try:
            return frozenset(self._call(self._ask_name) for _ in range(_NAMES_ASKED))
        except RegistryRefusedError:  # a token that may not read the agent's
            return self._call(lambda: self._nodes_of(instance))

    def listed(self) -> tuple[Listing, ...]:
        """All instances of the service, ordered by id, those that nobody is sent to as well."""
        return self._listings(None, refused=True)

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        return self._listings(f'Service.Address == "{address.host}" and Service.Port == {address.port}')

    def deregister(self, instance: Instance) -> None:
        self._call(lambda: self._consul.agent.service.deregister(instance.id))

    def strike(self, listing: Listing) -> None:
        """Remove it whoever registered it. Another agent than ours, if it lives, may list it again."""
        if fits_a_path(listing.instance.id):
            self.deregister(listing.instance)
        else:
            self._bury(listing.instance)
        try:
            self._call(lambda: self._consul.catalog.deregister(listing.node, service_id=listing.instance.id))
        except RegistryUnavailableError as error:
            if _NOTHING_LEFT not in str(error):
                raise

    def _catalog_status(self, instance: Instance) -> str | None:
        """What the catalog says of the instance's own check; None where it is not there."""
        if not self._node:
            listed = self._listings(_by_id(instance))
            if not listed:
                return None
            self._node = listed[0].node

        def ask() -> str | None:
            match = f'CheckID == "{_check_of(instance)}"'
            _, checks = self._consul.health.node(self._node, filter_expr=match)
            return str(checks[0]["Status"]) if checks else None

        return self._call(ask)

    def _bury(self, instance: Instance) -> None:
        name = f"{self._service}-removed"
        try:
            self._call(lambda: bury(self._consul, name, instance.id))
        except RegistryRefusedError:  # a token for this service only
            self._call(lambda: bury(self._consul, self._service, instance.id))

    def _ask_name(self) -> str:
        """The name of the agent that takes the next connection."""
        self._consul.http.session.close()
        return str(self._consul.agent.self()["Config"]["NodeName"])

    def _nodes_of(self, instance: Instance) -> frozenset[str]:
        _, entries = self._consul.health.service(self._service, filter_expr=_by_id(instance))
        return living_nodes(entries)

    def _in_maintenance(self, instance: Instance) -> bool:
        def ask() -> bool:
            _, entries = self._consul.health.service(self._service, filter_expr=_by_id(instance))
            return bool(read_roll(entries).maintained)

        return self._call(ask)

    def _listings(self, match: str | None, *, refused: bool = False) -> tuple[Listing, ...]:
        def ask() -> tuple[Listing, ...]:
            _, entries = self._consul.health.service(self._service, filter_expr=match)
            return listings(entries, refused=refused)

        return self._call(ask)

    def _lost(self, loss: Loss, what: str) -> RegistrationLostError:
        return RegistrationLostError(loss, f"{self._where} {what}")

    def _call(self, call: Callable[[], _T]) -> _T:
        return asked(self._where, call, needed=f"service:write for {self._service} and node:read")


def _check_of(instance: Instance) -> str:
    """The name that Consul gives to the only check of a service."""
    return f"service:{instance.id}"


def _by_id(instance: Instance) -> str:
    """The filter that finds it among those of its service."""
    return f'Service.ID == "{instance.id}"'


_TTL: Final = "1s"
_REMOVE_AFTER: Final = "1m"  # the least that Consul grants
_MOVES: Final = frozenset({"", ".", ".."})


def fits_a_path(instance_id: str) -> bool:
    """Whether an agent can be told of the id in a path, percent-encoded."""
    return instance_id.isprintable() and _MOVES.isdisjoint(instance_id.split("/"))


def bury(library: ConsulClient, name: str, instance_id: str) -> None:
    """Have the agent forget one of its own ids within two minutes; until then it is called `name`.

    Raises what py-consul raises.
    """
    if instance_id not in library.agent.services():
        return
    check = consul.Check.ttl(_TTL) | {"DeregisterCriticalServiceAfter": _REMOVE_AFTER}
    library.agent.service.register(name, service_id=instance_id, check=check, replace_existing_checks=True)
