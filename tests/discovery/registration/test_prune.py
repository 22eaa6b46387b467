from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.contract.address import Address
from tfleet.discovery.errors import RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus
from tfleet.discovery.registration.conflicts import AddressOwner
from tfleet.discovery.registration.prune import PruneCandidate, PruneKind, assess, find_stale, remove_stale

STALE = frozenset({PruneKind.STALE})


def listing(number: int, status: ListingStatus = ListingStatus.PASSING) -> Listing:
    return Listing(Instance(f"w{number}", Address("10.0.0.7", 8000 + number)), "node", status)


class Registered:
    """A registry that holds these, and forgets whom it is told to."""

    def __init__(self, *listed: Listing) -> None:
        self.listings = list(listed)

    def listed(self) -> tuple[Listing, ...]:
        return tuple(self.listings)

    def remove_entry(self, listing: Listing) -> None:
        self.listings.remove(listing)


@given(status=st.sampled_from(ListingStatus), error=st.text())
def test_an_entry_answering_as_itself_is_never_stale(status: ListingStatus, error: str) -> None:
    assert assess(listing(1, status), AddressOwner("w1", error)) is None


REFUSED = AddressOwner(error="Connection refused")
LATE = AddressOwner(error="no answer within 2 s")
STRANGER = AddressOwner(error="the server there is not a worker")
OTHER = AddressOwner("w2")


@pytest.mark.parametrize(
    ("status", "found", "kind", "reason"),
    [
        (ListingStatus.CRITICAL, OTHER, PruneKind.STALE, "w2 answers at its address"),
        (ListingStatus.CRITICAL, STRANGER, PruneKind.STALE, STRANGER.error),
        (ListingStatus.CRITICAL, REFUSED, PruneKind.STALE, REFUSED.error),
        (ListingStatus.CRITICAL, LATE, PruneKind.STALE, LATE.error),
        (ListingStatus.WARNING, OTHER, PruneKind.STALE, "w2 answers at its address"),
        (
            ListingStatus.WARNING,
            STRANGER,
            PruneKind.UNREACHABLE,
            f"not reachable from here: {STRANGER.error}",
        ),
        (ListingStatus.WARNING, REFUSED, PruneKind.UNREACHABLE, f"not reachable from here: {REFUSED.error}"),
        (ListingStatus.WARNING, LATE, PruneKind.UNREACHABLE, f"not reachable from here: {LATE.error}"),
        (ListingStatus.PASSING, OTHER, PruneKind.STALE, "w2 answers at its address"),
        (
            ListingStatus.PASSING,
            STRANGER,
            PruneKind.UNREACHABLE,
            f"not reachable from here: {STRANGER.error}",
        ),
        (ListingStatus.PASSING, REFUSED, PruneKind.UNREACHABLE, f"not reachable from here: {REFUSED.error}"),
        (ListingStatus.PASSING, LATE, PruneKind.UNREACHABLE, f"not reachable from here: {LATE.error}"),
    ],
)
def test_a_silent_entry_is_judged_by_its_checks(
    status: ListingStatus, found: AddressOwner, kind: PruneKind, reason: str
) -> None:
    assert assess(listing(1, status), found) == PruneCandidate(listing(1, status), kind, reason)


def test_each_entry_is_asked_and_the_order_is_kept() -> None:
    registry = Registered(*(listing(number) for number in range(100)))

    def ask(address: Address) -> AddressOwner:
        number = address.port - 8000
        return AddressOwner(f"w{number}") if number % 2 else REFUSED

    found = find_stale(registry, ask)
    assert [one.listing for one in found] == [listing(number) for number in range(0, 100, 2)]


@pytest.mark.parametrize(
    ("kinds", "struck"), [(STALE, ["w1"]), ({PruneKind.UNREACHABLE}, ["w2"]), (PruneKind, ["w1", "w2"])]
)
def test_only_entries_of_the_chosen_kinds_are_removed(
    kinds: Collection[PruneKind], struck: list[str]
) -> None:
    registry = Registered(listing(1, ListingStatus.CRITICAL), listing(2), listing(3, ListingStatus.CRITICAL))

    def ask(address: Address) -> AddressOwner:
        return AddressOwner("w3") if address.port == 8003 else LATE

    removed = remove_stale(registry, find_stale(registry, ask), ask, kinds)
    assert [one.listing.instance.id for one in removed] == struck
    assert [one.instance.id for one in registry.listings] == sorted({"w1", "w2", "w3"} - set(struck))


@pytest.mark.parametrize(
    ("before", "now", "answer"),
    [
        pytest.param(
            listing(1, ListingStatus.CRITICAL),
            listing(1, ListingStatus.CRITICAL),
            AddressOwner("w1"),
            id="answers",
        ),
        pytest.param(listing(1, ListingStatus.CRITICAL), listing(1), LATE, id="passes"),
        pytest.param(listing(1), listing(1), LATE, id="other-left"),
        pytest.param(listing(1), replace(listing(1), node="elsewhere"), OTHER, id="moved"),
    ],
)
def test_an_entry_that_recovered_is_not_removed(before: Listing, now: Listing, answer: AddressOwner) -> None:
    registry = Registered(now)
    assert not list(
        remove_stale(registry, [PruneCandidate(before, PruneKind.STALE, "")], lambda _: answer, STALE)
    )
    assert registry.listings == [now]


def test_a_registry_failure_is_reported() -> None:
    class Away(Registered):
        def listed(self) -> tuple[Listing, ...]:
            raise RegistryUnavailableError("down")

    with pytest.raises(RegistryUnavailableError, match="down"):
        find_stale(Away(), lambda _: AddressOwner())


def test_a_refused_connection_is_stale() -> None:
    bad = Listing(Instance("x\n", Address("10.0.0.7", 8001)), "node", ListingStatus.PASSING, "its id is 'x'")
    registry = Registered(bad)

    def ask(address: Address) -> AddressOwner:
        raise AssertionError(f"{address} was asked")

    (found,) = find_stale(registry, ask)
    assert found == PruneCandidate(bad, PruneKind.STALE, "its id is 'x'")
    assert list(remove_stale(registry, [found], ask, STALE)) == [found]
    assert registry.listed() == ()
