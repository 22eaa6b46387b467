"""What is registered and lives no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from tfleet.discovery.address import Address
from tfleet.discovery.answerer import Answerer
from tfleet.discovery.listing import Listing

_AT_ONCE: Final = 32

Ask = Callable[[Address], Answerer]


class Registry(Protocol):
    """What pruning needs of a registry. Every method raises a RegistryError."""

    def listed(self) -> tuple[Listing, ...]:
        """All instances of the service."""

    def strike(self, listing: Listing) -> None:
        """Remove one, whoever registered it."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A registration that nobody lives up to, and why we think so."""

    listing: Listing
    reason: str


def orphan(listing: Listing, found: Answerer) -> Orphan | None:
    """Whether a registration is an orphan, given who answers at its address.

    Who answers under its own name lives, whatever its checks say. Everybody else is an orphan, whatever its
    checks say: one without a check passes for ever.
    """
    if found.worker == listing.instance.id:
        return None
    return Orphan(listing, found.error or f"{found.worker} answers at its address")


def orphans(registry: Registry, ask: Ask) -> tuple[Orphan, ...]:
    """Ask at the address of each instance who answers. Raises a RegistryError."""
    listed = registry.listed()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(ask, [listing.instance.address for listing in listed])
        judged = [orphan(listing, found) for listing, found in zip(listed, answers, strict=True)]
    return tuple(one for one in judged if one is not None)


def remove(registry: Registry, found: Iterable[Orphan], ask: Ask) -> Iterator[Orphan]:
    """Remove orphans, each as soon as the caller wants the next; those that live by now are passed over.

    Raises a RegistryError.
    """
    for one in found:
        if orphan(one.listing, ask(one.listing.instance.address)) is not None:
            registry.strike(one.listing)
            yield one
