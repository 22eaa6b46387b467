"""Stale registrations of other instances: found and removed by `tfleet prune`.

The registered address of each instance is asked who answers. The rules:

- The entry is invalid (its id, model or address is not plain text): stale; no request is sent.
- The worker itself answers: it is alive, whatever its checks say.
- Another worker answers: it holds the address, so this entry is stale, whatever its checks say.
- Neither, and the checks are critical: stale.
- Neither, and the checks are not critical: another process may still send its heartbeats, and the fault
  may be on our side. It is unreachable, not stale. (A service without a check passes forever.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from tfleet.contract.address import Address
from tfleet.discovery.listing import Listing, ListingStatus
from tfleet.discovery.registration.conflicts import AddressOwner

_CONCURRENCY: Final = 32

Ask = Callable[[Address], AddressOwner]


class PruneRegistry(Protocol):
    """What pruning needs of a registry. Every method raises a RegistryError."""

    def listed(self) -> tuple[Listing, ...]:
        """Return all instances of the service."""

    def remove_entry(self, listing: Listing) -> None:
        """Remove an entry, whichever agent registered it."""


class PruneKind(StrEnum):
    """The kind of a registration whose worker does not answer at its address."""

    STALE = "stale"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class PruneCandidate:
    """A registration whose worker does not answer at its address, with its kind and the reason."""

    listing: Listing
    kind: PruneKind
    reason: str


def assess(listing: Listing, found: AddressOwner) -> PruneCandidate | None:
    """Classify a registration by who answers at its address; None if the worker is alive."""
    if listing.rejected:
        return PruneCandidate(listing, PruneKind.STALE, listing.rejected)
    if found.worker == listing.instance.id:
        return None
    if found.worker:
        return PruneCandidate(listing, PruneKind.STALE, f"{found.worker} answers at its address")
    if listing.status is ListingStatus.CRITICAL:
        return PruneCandidate(listing, PruneKind.STALE, found.error)
    return PruneCandidate(listing, PruneKind.UNREACHABLE, f"not reachable from here: {found.error}")


def find_stale(registry: PruneRegistry, ask: Ask) -> tuple[PruneCandidate, ...]:
    """Ask the address of each instance who answers. Raises a RegistryError."""
    listed = registry.listed()
    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        answers = pool.map(lambda listing: _owner_of(listing, ask), listed)
        assessed = [assess(listing, found) for listing, found in zip(listed, answers, strict=True)]
    return tuple(one for one in assessed if one is not None)


def remove_stale(
    registry: PruneRegistry, found: Iterable[PruneCandidate], ask: Ask, kinds: Collection[PruneKind]
) -> Iterator[PruneCandidate]:
    """Remove the entries of these kinds, each as soon as the caller asks for the next.

    They are checked again first, because the operator may have taken a long time to confirm: an entry that
    is alive, of another kind or no longer listed by now is skipped. Raises a RegistryError.
    """
    listed = {(listing.node, listing.instance.id): listing for listing in registry.listed()}
    for one in found:
        listing = listed.get((one.listing.node, one.listing.instance.id))
        if listing is None:
            continue
        again = assess(listing, _owner_of(listing, ask))
        if again is not None and again.kind in kinds:
            registry.remove_entry(listing)
            yield one


def _owner_of(listing: Listing, ask: Ask) -> AddressOwner:
    """Return who answers at its address; no request is sent to an invalid address."""
    return AddressOwner() if listing.rejected else ask(listing.instance.address)
