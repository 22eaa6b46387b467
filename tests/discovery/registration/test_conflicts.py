import socket

import pytest

from tests.support.canned_server import canned, http, nobody
from tfleet.contract.address import Address
from tfleet.discovery.errors import AddressHeldError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus
from tfleet.discovery.registration.conflicts import (
    AddressOwner,
    Verdict,
    find_address_owner,
    resolve_conflicts,
    verdict_on,
)


@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable", "421 Misdirected Request"])
def test_an_answer_names_its_worker_in_any_state(status: str) -> None:
    with canned(http(status, b"", "X-Worker: w1")) as address:
        assert find_address_owner(address) == AddressOwner("w1")


def test_a_proxy_says_its_name_too() -> None:
    with canned(http("503 Service Unavailable", b"", "X-Proxy: p1")) as address:
        assert find_address_owner(address) == AddressOwner("p1")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http("200 OK", b"hello"), "the server there is not a worker"),
        (b"220 mail.example ESMTP\r\n", "220 mail"),
    ],
)
def test_a_server_that_is_no_worker_is_recognised(answer: bytes, error: str) -> None:
    with canned(answer) as address:
        found = find_address_owner(address)
    assert not found.worker
    assert error in found.error


def test_without_an_answer_the_reason_is_the_systems() -> None:
    assert find_address_owner(nobody()) == AddressOwner(error="Connection refused")


def test_a_late_answer_counts_as_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = find_address_owner(Address(*silent.getsockname()), timeout_s=0.05)
    assert found == AddressOwner(error="no answer within 0.05 s")


def test_an_http_proxy_does_not_answer_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        canned(http("200 OK", b"", "X-Worker: proxy")) as proxy,
        canned(http("200 OK", b"", "X-Worker: w1")) as w,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert find_address_owner(w) == AddressOwner("w1")


PUBLIC = Address("10.0.0.7", 8000)
LOOPBACK = Address("127.0.0.1", 8000)


def listing(
    worker_id: str, address: Address = PUBLIC, status: ListingStatus = ListingStatus.PASSING
) -> Listing:
    return Listing(Instance(worker_id, address), "node-7", status)


class Registered:
    """A registry that holds these, and remembers whom it was told to forget."""

    def __init__(self, *listed: Listing, address: Address = PUBLIC) -> None:
        self.address = address
        self.forgotten: list[str] = []
        self._listed = listed

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        return tuple(listing for listing in self._listed if listing.instance.address == address)

    def deregister(self, instance: Instance) -> None:
        self.forgotten.append(instance.id)


@pytest.mark.parametrize(
    ("answering", "status", "one_machine", "verdict"),
    [
        ("other", ListingStatus.PASSING, True, Verdict.ALIVE),
        ("other", ListingStatus.CRITICAL, True, Verdict.ALIVE),
        ("us", ListingStatus.PASSING, True, Verdict.STALE),
        ("us", ListingStatus.CRITICAL, True, Verdict.STALE),
        ("us", ListingStatus.PASSING, False, Verdict.UNKNOWN),
        ("us", ListingStatus.WARNING, False, Verdict.UNKNOWN),
        ("us", ListingStatus.CRITICAL, False, Verdict.STALE),
        ("", ListingStatus.PASSING, True, Verdict.UNKNOWN),
        ("", ListingStatus.CRITICAL, True, Verdict.UNKNOWN),
        ("a third one", ListingStatus.CRITICAL, True, Verdict.UNKNOWN),
    ],
)
def test_a_conflict_is_decided_by_who_answers(
    answering: str, status: ListingStatus, one_machine: bool, verdict: Verdict
) -> None:
    rival = listing("other", status=status)
    assert verdict_on(rival, own_id="us", answering=answering, one_machine=one_machine) is verdict


def test_only_stale_entries_at_the_address_are_removed() -> None:
    registry = Registered(listing("stale"), listing("neighbour", Address("10.0.0.7", 8001)))
    us = Instance("us", PUBLIC)
    assert resolve_conflicts(registry, us, lambda _: AddressOwner("us")) == (Instance("stale", PUBLIC),)
    assert registry.forgotten == ["stale"]


def test_a_live_owner_is_named_and_left_alone() -> None:
    registry = Registered(listing("stale"), listing("alive"))
    with pytest.raises(AddressHeldError) as raised:
        resolve_conflicts(registry, Instance("us", PUBLIC), lambda _: AddressOwner("alive"))
    assert str(raised.value) == (
        "10.0.0.7:8000 is the address of alive (node node-7), which answers there; "
        "set --advertise to the address at which this one can be reached"
    )
    assert registry.forgotten == []


def test_without_other_entries_no_address_is_asked() -> None:
    def ask(address: Address) -> AddressOwner:
        raise AssertionError(address)

    assert resolve_conflicts(Registered(listing("us")), Instance("us", PUBLIC), ask) == ()


@pytest.mark.parametrize(("registry", "forgotten"), [(LOOPBACK, ["other"]), (PUBLIC, [])])
def test_a_loopback_address_conflicts_only_on_one_machine(registry: Address, forgotten: list[str]) -> None:
    """The registry has to be on that machine, too; else it may be another machine's."""
    registered = Registered(listing("other", LOOPBACK), address=registry)
    resolve_conflicts(registered, Instance("us", LOOPBACK), lambda _: AddressOwner("us"))
    assert registered.forgotten == forgotten
