"""A Consul agent as its services use it: register, heartbeat, verify, deregister. Synchronous, through
py-consul.

Removing entries with unsafe ids: deregistering takes the id in the URL's path, where not every id is
possible. Consul rejects ids with control characters there, and resolves `..` and `//` (`../../leave` would
make the agent leave its cluster). But such ids can be registered, since registration takes them in the
body.

So an entry with an unsafe id is registered again, in place of the old one: under another service name,
which removes it from the service's list at once, and with a TTL check without heartbeats, which makes the
agent deregister it by itself. No heartbeat can revive it, because a heartbeat has the id in its path, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import consul
from consul.exceptions import ConsulException

from tfleet.contract.address import Address
from tfleet.contract.names import WAN
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.client import ConsulClient, call_registry
from tfleet.discovery.consul.health_json import parse_listings, parse_service_list
from tfleet.discovery.consul.service_meta import meta_of
from tfleet.discovery.consul.several_agents import live_nodes
from tfleet.discovery.errors import (
    Loss,
    RegistrationLostError,
    RegistryRefusedError,
    RegistryUnavailableError,
)
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus

_T = TypeVar("_T")

REMOVE_AFTER: Final = "1m"
"""How long a dead worker stays listed. One minute is Consul's minimum, see DeregisterCriticalServiceAfter in
https://developer.hashicorp.com/consul/api-docs/agent/check.
"""

_NAME_QUERIES: Final = 5
_UNKNOWN_SERVICE: Final = "Unknown service"
"""The text of the 500 that a Consul with ACLs returns if the service is no longer in its catalog."""


class RegistryAgent(Protocol):
    """What a registration needs of a registry. Every method raises a RegistryError."""

    @property
    def address(self) -> Address:
        """The registry's address."""

    def register(self, instance: Instance) -> None:
        """Register the instance as passing. Repeating it replaces the registration."""

    def heartbeat(self, instance: Instance) -> None:
        """Send a heartbeat. Raises RegistrationLostError if the agent does not know the instance."""

    def verify_listed(self, instance: Instance) -> None:
        """Raises RegistrationLostError unless the catalog lists the instance as passing.

        In maintenance it need not be passing: an operator took it out of use, and registering again would
        not help.
        """

    def nodes(self, instance: Instance) -> frozenset[str]:
        """Return the nodes of the agents that answer at the address: one, unless they are behind a load
        balancer.
        """

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        """Return the instances of the service that are registered at an address, ordered by id."""

    def deregister(self, instance: Instance) -> None:
        """Remove the instance. An unknown one is no error."""


class ConsulAgent:
    """A RegistryAgent over Consul's HTTP API.

    `ttl_s` is how long the registry waits for a heartbeat; `timeout_s` limits each call.

    Verifying reads the checks of one node. Reading those of the whole service would cost more with each
    worker, for each worker. So the node is looked up once, after each registration.
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
        self._acl_hint = f"; {access.acl_hint(service)}" if shows_token else ""
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
                meta=meta_of(instance),
                check=check,
                tagged_addresses=None if wan is None else {WAN: {"address": wan.host, "port": wan.port}},
            )
        )
        # Registering an existing id keeps its check's status, which may be critical.
        self.heartbeat(instance)

    def heartbeat(self, instance: Instance) -> None:
        try:
            known = self._call(lambda: self._consul.agent.check.ttl_pass(_check_of(instance)))
        except RegistryUnavailableError as error:
            # Consul before 1.11 answers 500 for an unknown check; only the text tells it from other errors.
            if isinstance(error.__cause__, ConsulException) and "TTL" in str(error.__cause__):
                raise self._lost(Loss.FORGOTTEN, f"does not know {instance.id}") from error
            raise
        if not known:  # Consul 1.11 and later answer 404, which py-consul turns into False
            raise self._lost(Loss.FORGOTTEN, f"does not know {instance.id}")

    def verify_listed(self, instance: Instance) -> None:
        status = self._catalog_status(instance)
        if status is None:
            raise self._lost(
                Loss.UNLISTED, f"takes heartbeats of {instance.id}, but does not list it{self._acl_hint}"
            )
        if status != ListingStatus.PASSING and not self._in_maintenance(instance):
            raise self._lost(Loss.NOT_PASSING, f"takes heartbeats of {instance.id}, but lists it as {status}")

    def nodes(self, instance: Instance) -> frozenset[str]:
        try:
            return frozenset(self._call(self._node_name) for _ in range(_NAME_QUERIES))
        except RegistryRefusedError:  # the token may not read the agent
            return self._call(lambda: self._nodes_of(instance))

    def listed(self) -> tuple[Listing, ...]:
        """Return all instances of the service, ordered by id, including rejected entries."""
        return self._listings(None, include_rejected=True)

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        return self._listings(f'Service.Address == "{address.host}" and Service.Port == {address.port}')

    def deregister(self, instance: Instance) -> None:
        self._call(lambda: self._consul.agent.service.deregister(instance.id))

    def remove_entry(self, listing: Listing) -> None:
        """Remove an entry, whichever agent registered it. If another agent has it and is alive, it may list
        it again.
        """
        if is_safe_in_path(listing.instance.id):
            self.deregister(listing.instance)
        else:
            self._hide(listing.instance)
        try:
            self._call(lambda: self._consul.catalog.deregister(listing.node, service_id=listing.instance.id))
        except RegistryUnavailableError as error:
            if _UNKNOWN_SERVICE not in str(error):
                raise

    def _catalog_status(self, instance: Instance) -> str | None:
        """Return the status of the instance's own check in the catalog; None if it is not there."""
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

    def _hide(self, instance: Instance) -> None:
        name = f"{self._service}-removed"
        try:
            self._call(lambda: hide_and_expire(self._consul, name, instance.id))
        except RegistryRefusedError:  # the token allows only this service's name
            self._call(lambda: hide_and_expire(self._consul, self._service, instance.id))

    def _node_name(self) -> str:
        """Return the node name of the agent that takes the next connection."""
        # A new connection: a kept one would always lead to the same agent.
        self._consul.http.session.close()
        return str(self._consul.agent.self()["Config"]["NodeName"])

    def _nodes_of(self, instance: Instance) -> frozenset[str]:
        _, entries = self._consul.health.service(self._service, filter_expr=_by_id(instance))
        return live_nodes(entries)

    def _in_maintenance(self, instance: Instance) -> bool:
        def ask() -> bool:
            _, entries = self._consul.health.service(self._service, filter_expr=_by_id(instance))
            return bool(parse_service_list(entries).maintained)

        return self._call(ask)

    def _listings(self, match: str | None, *, include_rejected: bool = False) -> tuple[Listing, ...]:
        def ask() -> tuple[Listing, ...]:
            _, entries = self._consul.health.service(self._service, filter_expr=match)
            return parse_listings(entries, include_rejected=include_rejected)

        return self._call(ask)

    def _lost(self, loss: Loss, what: str) -> RegistrationLostError:
        return RegistrationLostError(loss, f"{self._where} {what}")

    def _call(self, call: Callable[[], _T]) -> _T:
        return call_registry(self._where, call, needed=f"service:write for {self._service} and node:read")


def _check_of(instance: Instance) -> str:
    """Return the id that Consul gives to a service's only check."""
    return f"service:{instance.id}"


def _by_id(instance: Instance) -> str:
    """Return the filter that selects this instance within its service."""
    return f'Service.ID == "{instance.id}"'


_TTL: Final = "1s"
_REMOVE_AFTER: Final = "1m"  # the least that Consul grants
_UNSAFE_SEGMENTS: Final = frozenset({"", ".", ".."})


def is_safe_in_path(instance_id: str) -> bool:
    """Whether the id can be sent to an agent in a URL's path, percent-encoded."""
    return instance_id.isprintable() and _UNSAFE_SEGMENTS.isdisjoint(instance_id.split("/"))


def hide_and_expire(client: ConsulClient, name: str, instance_id: str) -> None:
    """Rename an agent's own entry to `name` and let it expire within two minutes.

    Raises py-consul's errors.
    """
    if instance_id not in client.agent.services():
        return
    check = consul.Check.ttl(_TTL) | {"DeregisterCriticalServiceAfter": _REMOVE_AFTER}
    client.agent.service.register(name, service_id=instance_id, check=check, replace_existing_checks=True)
