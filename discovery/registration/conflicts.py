"""Who answers at an address: the one way to tell a worker, or a proxy, from its corpse.

Whether the address that a worker advertises is its own.

Before a worker registers it looks who else is registered at its address, and asks the address who answers:

- The other one answers: it lives, and the address is its own. Nothing of it is touched and this worker does
  not register: its `--advertise` is wrong.
- This worker answers: it holds the port now, so the other one is its corpse, and is deregistered.
- Anybody else, or nobody (an address need not be reachable from within): this says nothing of the other one.
  If it is dead, the registry gives it up after a while.

A loopback address is the same on every machine. There it takes a registry on loopback as well, or a check
that is critical, to call the other one a corpse.
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
from tfleet.discovery.consul.error_messages import reason
from tfleet.discovery.errors import AddressHeldError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class AddressOwner:
    """What a request to an address found.

    `worker` is the id that answered, be it a proxy's; empty where nobody did or who did gave no name. Then
    `error` says why.
    """

    worker: str = ""
    error: str = ""


def who_answers(address: Address, *, timeout_s: float = _TIMEOUT_S) -> AddressOwner:
    """Ask once. Workers and proxies answer under their names also while they start or drain."""
    with requests.Session() as session:
        session.trust_env = False  # an HTTP_PROXY would answer in the worker's place
        try:
            with session.get(f"{address.url}/readyz", timeout=timeout_s, stream=True) as answer:
                worker = answer.headers.get(WORKER) or answer.headers.get(PROXY, "")
                return (
                    AddressOwner(worker) if worker else AddressOwner(error="what answers there is no worker")
                )
        except requests.Timeout:
            return AddressOwner(error=f"no answer within {timeout_s:g} s")
        except requests.RequestException as error:
            return AddressOwner(error=reason(error))


class Verdict(StrEnum):
    """What another registration at our address is."""

    CORPSE = "corpse"
    ALIVE = "alive"
    UNKNOWN = "unknown"


class ConflictRegistry(Protocol):
    """What a claim needs of a registry. Every method raises a RegistryError."""

    @property
    def address(self) -> Address:
        """Where it answers."""

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        """The instances of the service that are registered at an address."""

    def deregister(self, instance: Instance) -> None:
        """Forget it, if it was registered here."""


def judge(rival: Listing, *, own_id: str, answering: str, one_machine: bool) -> Verdict:
    """What a rival at our address is, given the id that answers there.

    `one_machine` is whether the address can't be that of another machine.
    """
    if answering == rival.instance.id:
        return Verdict.ALIVE
    if answering == own_id and (one_machine or rival.status is ListingStatus.CRITICAL):
        return Verdict.CORPSE
    return Verdict.UNKNOWN


def claim(
    registry: ConflictRegistry, instance: Instance, ask: Callable[[Address], AddressOwner]
) -> tuple[Instance, ...]:
    """Remove the corpses at the instance's address; they are returned. Raises AddressHeldError."""
    address = instance.address
    rivals = [rival for rival in registry.listed_at(address) if rival.instance.id != instance.id]
    if not rivals:
        return ()
    answering = ask(address).worker
    one_machine = not is_loopback(address.host) or is_loopback(registry.address.host)
    verdicts = [
        (rival, judge(rival, own_id=instance.id, answering=answering, one_machine=one_machine))
        for rival in rivals
    ]
    for rival, verdict in verdicts:
        if verdict is Verdict.ALIVE:
            raise AddressHeldError(
                f"{address} is the address of {rival.instance.id} (node {escaped(rival.node)}), "
                "which answers there; say with --advertise where this one can be reached"
            )
    corpses = tuple(rival.instance for rival, verdict in verdicts if verdict is Verdict.CORPSE)
    for corpse in corpses:
        registry.deregister(corpse)
    return corpses
