import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.discovery.address import Address
from tfleet.discovery.answerer import Answerer
from tfleet.discovery.errors import RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, Status
from tfleet.discovery.prune import Orphan, orphan, orphans, remove


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
def test_who_answers_under_its_own_name_is_never_an_orphan(status: Status, error: str) -> None:
    assert orphan(listing(1, status), Answerer("w1", error)) is None


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Answerer(error="Connection refused"), "Connection refused"),
        (Answerer("w2"), "w2 answers at its address"),
    ],
)
def test_who_does_not_is_one_whatever_its_checks_say(status: Status, found: Answerer, reason: str) -> None:
    assert orphan(listing(1, status), found) == Orphan(listing(1, status), reason)


def test_each_is_asked_at_its_own_address_and_the_orphans_keep_their_order() -> None:
    registry = Registered(*(listing(number) for number in range(100)))

    def ask(address: Address) -> Answerer:
        number = address.port - 8000
        return Answerer(f"w{number}") if number % 2 else Answerer(error="no")

    found = orphans(registry, ask)
    assert [one.listing for one in found] == [listing(number) for number in range(0, 100, 2)]


def test_an_orphan_is_removed() -> None:
    registry = Registered(listing(1), listing(2))
    found = (Orphan(listing(1), "no"),)
    assert tuple(remove(registry, found, lambda _: Answerer(error="no"))) == found
    assert registry.listings == [listing(2)]


def test_one_that_came_back_in_the_meantime_is_not_removed() -> None:
    registry = Registered(listing(1))
    assert list(remove(registry, [Orphan(listing(1), "no")], lambda _: Answerer("w1"))) == []
    assert registry.listings == [listing(1)]


def test_a_registry_that_fails_is_told_as_it_is() -> None:
    class Away(Registered):
        def listed(self) -> tuple[Listing, ...]:
            raise RegistryUnavailableError("down")

    with pytest.raises(RegistryUnavailableError, match="down"):
        orphans(Away(), lambda _: Answerer())
