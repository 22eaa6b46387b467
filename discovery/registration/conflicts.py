"""Conflicts between registrations at the same address.

Before an instance registers, it looks for other registrations at its address, and asks the address who
answers:

- The other instance answers: it is alive, and the address belongs to it. Its registration stays, and this
  instance does not register: its `--advertise` is wrong.
- This instance answers: it holds the port now, so the other registration is stale and is removed.
- Another process answers, or none (an address need not be reachable from inside): this proves nothing
  about the other registration. If it is stale, the registry removes it after a while.

A loopback address is the same on every machine. There, a registration is stale only if the registry is on
loopback as well, or if the registration's check is critical.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import requests

from tfleet.contract.address import Address, is_loopback
from tfleet.contract.identifiers import escaped
from tfleet.contract.names import PROXY, WORKER
from tfleet.discovery.consul.error_messages import request_error
from tfleet.discovery.errors import AddressHeldError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class AddressOwner:
    """The result of a request to an address.

    `worker` is the id that answered, of a worker or a proxy; empty if none did, or without an id. Then
    `error` says why.
    """

    worker: str = ""
    error: str = ""


def find_address_owner(address: Address, *, timeout_s: float = _TIMEOUT_S) -> AddressOwner:
    """Send one request to the address. Workers and proxies answer with their ids also while they start or
    drain.
    """
    with requests.Session() as session:
        session.trust_env = False  # an HTTP_PROXY could answer in the worker's place
        try:
            with session.get(f"{address.url}/readyz", timeout=timeout_s, stream=True) as answer:
                worker = answer.headers.get(WORKER) or answer.headers.get(PROXY, "")
                return (
                    AddressOwner(worker) if worker else AddressOwner(error="the server there is not a worker")
                )
        except requests.Timeout:
            return AddressOwner(error=f"no answer within {timeout_s:g} s")
        except requests.RequestException as error:
            return AddressOwner(error=request_error(error))


class Verdict(StrEnum):
    """What another registration at the same address is."""

    STALE = "stale"
    ALIVE = "alive"
    UNKNOWN = "unknown"


class ConflictRegistry(Protocol):
    """What resolving conflicts needs of a registry. Every method raises a RegistryError."""

    @property
    def address(self) -> Address:
        """The registry's address."""

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        """Return the instances of the service that are registered at an address."""

    def deregister(self, instance: Instance) -> None:
        """Remove an instance that was registered through this agent."""


def verdict_on(other: Listing, *, own_id: str, answering: str, one_machine: bool) -> Verdict:
    """Return what another registration at our address is, given the id that answers there.

    `one_machine` is whether the address can only be that of one machine.
    """
    if answering == other.instance.id:
        return Verdict.ALIVE
    if answering == own_id and (one_machine or other.status is ListingStatus.CRITICAL):
        return Verdict.STALE
    return Verdict.UNKNOWN


def resolve_conflicts(
    registry: ConflictRegistry, instance: Instance, ask: Callable[[Address], AddressOwner]
) -> tuple[Instance, ...]:
    """Remove stale registrations at the instance's address and return them. Raises AddressHeldError."""
    address = instance.address
    others = [other for other in registry.listed_at(address) if other.instance.id != instance.id]
    if not others:
        return ()
    answering = ask(address).worker
    # A loopback address identifies one machine only if the registry is on that machine, too.
    one_machine = not is_loopback(address.host) or is_loopback(registry.address.host)
    verdicts = [
        (other, verdict_on(other, own_id=instance.id, answering=answering, one_machine=one_machine))
        for other in others
    ]
    # First all conflicts, then the removals: a failed start must not remove anything.
    for other, verdict in verdicts:
        if verdict is Verdict.ALIVE:
            raise AddressHeldError(
                f"{address} is the address of {other.instance.id} (node {escaped(other.node)}), "
                "which answers there; set --advertise to the address at which this one can be reached"
            )
    stale = tuple(other.instance for other, verdict in verdicts if verdict is Verdict.STALE)
    for entry in stale:
        registry.deregister(entry)
    return stale
