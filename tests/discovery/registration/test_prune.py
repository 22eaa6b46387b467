from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.contract.address import Address
from tfleet.discovery.errors import RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, Status
from tfleet.discovery.registration.conflicts import Answerer
from tfleet.discovery.registration.prune import Kind, Suspect, remove, suspect, suspects

ORPHANS = frozenset({Kind.ORPHAN})


def listing(number: int, status: Status = Status.PASSING) -> Listing:
    return Listing(Instance(f"w{number}", Address("10.0.0.7", 8000 + number)), "node", status)


class Registered:
    """A registry that holds these, and forgets whom it is told to."""

    def __init__(self, *listed: Listing) -> None:
        self.listings = list(listed)

    def listed(self) -> tuple[Listing, ...]:
        return tuple(self.listings)

    def strike(self, listing: Listing) -> None:
        self.listings.remove(listing)


@given(status=st.sampled_from(Status), error=st.text())
def test_who_answers_under_its_own_name_is_never_suspect(status: Status, error: str) -> None:
    assert suspect(listing(1, status), Answerer("w1", error)) is None


REFUSED = Answerer(error="Connection refused")
LATE = Answerer(error="no answer within 2 s")
STRANGER = Answerer(error="what answers there is no worker")
OTHER = Answerer("w2")


@pytest.mark.parametrize(
    ("status", "found", "kind", "reason"),
    [
        (Status.CRITICAL, OTHER, Kind.ORPHAN, "w2 answers at its address"),
        (Status.CRITICAL, STRANGER, Kind.ORPHAN, STRANGER.error),
        (Status.CRITICAL, REFUSED, Kind.ORPHAN, REFUSED.error),
        (Status.CRITICAL, LATE, Kind.ORPHAN, LATE.error),
        (Status.WARNING, OTHER, Kind.ORPHAN, "w2 answers at its address"),
        (Status.WARNING, STRANGER, Kind.UNREACHABLE, f"not reachable from here: {STRANGER.error}"),
        (Status.WARNING, REFUSED, Kind.UNREACHABLE, f"not reachable from here: {REFUSED.error}"),
        (Status.WARNING, LATE, Kind.UNREACHABLE, f"not reachable from here: {LATE.error}"),
        (Status.PASSING, OTHER, Kind.ORPHAN, "w2 answers at its address"),
        (Status.PASSING, STRANGER, Kind.UNREACHABLE, f"not reachable from here: {STRANGER.error}"),
        (Status.PASSING, REFUSED, Kind.UNREACHABLE, f"not reachable from here: {REFUSED.error}"),
        (Status.PASSING, LATE, Kind.UNREACHABLE, f"not reachable from here: {LATE.error}"),
    ],
)
def test_who_does_not_is_judged_by_who_does_and_by_its_checks(
    status: Status, found: Answerer, kind: Kind, reason: str
) -> None:
    assert suspect(listing(1, status), found) == Suspect(listing(1, status), kind, reason)


def test_each_is_asked_at_its_own_address_and_the_suspects_keep_their_order() -> None:
    registry = Registered(*(listing(number) for number in range(100)))

    def ask(address: Address) -> Answerer:
        number = address.port - 8000
        return Answerer(f"w{number}") if number % 2 else REFUSED

    found = suspects(registry, ask)
    assert [one.listing for one in found] == [listing(number) for number in range(0, 100, 2)]


@pytest.mark.parametrize(
    ("kinds", "struck"), [(ORPHANS, ["w1"]), ({Kind.UNREACHABLE}, ["w2"]), (Kind, ["w1", "w2"])]
)
def test_those_of_the_chosen_kinds_are_removed(kinds: Collection[Kind], struck: list[str]) -> None:
    registry = Registered(listing(1, Status.CRITICAL), listing(2), listing(3, Status.CRITICAL))

    def ask(address: Address) -> Answerer:
        return Answerer("w3") if address.port == 8003 else LATE

    removed = remove(registry, suspects(registry, ask), ask, kinds)
    assert [one.listing.instance.id for one in removed] == struck
    assert [one.instance.id for one in registry.listings] == sorted({"w1", "w2", "w3"} - set(struck))


@pytest.mark.parametrize(
    ("before", "now", "answer"),
    [
        pytest.param(listing(1, Status.CRITICAL), listing(1, Status.CRITICAL), Answerer("w1"), id="answers"),
        pytest.param(listing(1, Status.CRITICAL), listing(1), LATE, id="passes"),
        pytest.param(listing(1), listing(1), LATE, id="other-left"),
        pytest.param(listing(1), replace(listing(1), node="elsewhere"), OTHER, id="moved"),
    ],
)
def test_one_that_is_no_orphan_by_now_is_not_removed(before: Listing, now: Listing, answer: Answerer) -> None:
    registry = Registered(now)
    assert not list(remove(registry, [Suspect(before, Kind.ORPHAN, "")], lambda _: answer, ORPHANS))
    assert registry.listings == [now]


def test_a_registry_that_fails_is_told_as_it_is() -> None:
    class Away(Registered):
        def listed(self) -> tuple[Listing, ...]:
            raise RegistryUnavailableError("down")

    with pytest.raises(RegistryUnavailableError, match="down"):
        suspects(Away(), lambda _: Answerer())


def test_who_is_refused_is_an_orphan_and_nobody_is_asked() -> None:
    bad = Listing(Instance("x\n", Address("10.0.0.7", 8001)), "node", Status.PASSING, "its id is 'x'")
    registry = Registered(bad)

    def ask(address: Address) -> Answerer:
        raise AssertionError(f"{address} was asked")

    (found,) = suspects(registry, ask)
    assert found == Suspect(bad, Kind.ORPHAN, "its id is 'x'")
    assert list(remove(registry, [found], ask, ORPHANS)) == [found]
    assert registry.listed() == ()
