"""What is registered and lives no more, as far as it can be told from here.

Each registered address is asked who answers. The rules:

- It is refused, because its id, its model or its address is no plain text: an orphan, and nobody is asked.
- The worker itself answers: it lives, whatever its checks say.
- Another worker answers: that one holds the address, so this one is an orphan, whatever its checks say.
- Neither, and the checks are critical: an orphan.
- Neither, and the checks are not critical: somebody may still speak for it, and it may be us who can't reach
  it. It is unreachable, not an orphan. (One without a check passes for ever.)
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

_AT_ONCE: Final = 32

Ask = Callable[[Address], AddressOwner]


class PruneRegistry(Protocol):
    """What pruning needs of a registry. Every method raises a RegistryError."""

    def listed(self) -> tuple[Listing, ...]:
        """All instances of the service."""

    def strike(self, listing: Listing) -> None:
        """Remove one, whoever registered it."""


class StaleKind(StrEnum):
    """What a registration is whose worker does not answer at its address."""

    ORPHAN = "orphan"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class StaleEntry:
    """A registration whose worker does not answer at its address, and why we think what we think of it."""

    listing: Listing
    kind: StaleKind
    reason: str


def suspect(listing: Listing, found: AddressOwner) -> StaleEntry | None:
    """What a registration is, given who answers at its address; None for a worker that lives."""
    if listing.refused:
        return StaleEntry(listing, StaleKind.ORPHAN, listing.refused)
    if found.worker == listing.instance.id:
        return None
    if found.worker:
        return StaleEntry(listing, StaleKind.ORPHAN, f"{found.worker} answers at its address")
    if listing.status is ListingStatus.CRITICAL:
        return StaleEntry(listing, StaleKind.ORPHAN, found.error)
    return StaleEntry(listing, StaleKind.UNREACHABLE, f"not reachable from here: {found.error}")


def suspects(registry: PruneRegistry, ask: Ask) -> tuple[StaleEntry, ...]:
    """Ask at the address of each instance who answers. Raises a RegistryError."""
    listed = registry.listed()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(lambda listing: _asked(listing, ask), listed)
        judged = [suspect(listing, found) for listing, found in zip(listed, answers, strict=True)]
    return tuple(one for one in judged if one is not None)


def remove(
    registry: PruneRegistry, found: Iterable[StaleEntry], ask: Ask, kinds: Collection[StaleKind]
) -> Iterator[StaleEntry]:
    """Remove those that are of one of these kinds, each as soon as the caller wants the next.

    They are judged anew, for somebody may have thought about it for long: what is of another kind by now,
    lives or is not listed any more is passed over. Raises a RegistryError.
    """
    listed = {(listing.node, listing.instance.id): listing for listing in registry.listed()}
    for one in found:
        listing = listed.get((one.listing.node, one.listing.instance.id))
        if listing is None:
            continue
        again = suspect(listing, _asked(listing, ask))
        if again is not None and again.kind in kinds:
            registry.strike(listing)
            yield one


def _asked(listing: Listing, ask: Ask) -> AddressOwner:
    """Who answers at its address; a stranger's text that is no address is not asked."""
    return AddressOwner() if listing.refused else ask(listing.instance.address)
