"""Which machine of a list this one is."""

from __future__ import annotations

import socket

import pytest

from tfleet.contract.address import Address
from tfleet.training.distributed.errors import CannotTrainError
from tfleet.training.distributed.places import alone, listed


def test_the_first_machine_is_the_coordinator() -> None:
    place = listed(("node-1", "node-2"), 1, 12485)
    assert (place.number, place.machines, place.host) == (1, 2, "node-2")
    assert place.coordinator == Address("node-1", 12485)
    assert place.ranks(3) == range(3, 6)


def test_one_machine_listens_on_loopback_only() -> None:
    place = alone()
    assert (place.number, place.machines, place.coordinator.host) == (0, 1, "127.0.0.1")


def test_a_port_that_is_taken_is_said_before_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CannotTrainError, match=f"can't listen on 127.0.0.1:{port}: give another --port"):
            listed(("127.0.0.1", "node-2"), 0, port)
        assert listed(("127.0.0.1", "node-2"), 1, port).number == 1


def test_a_machine_finds_itself_in_the_list() -> None:
    # The other is an address for documentation (RFC 5737), which no machine has.
    assert listed(("203.0.113.7", "127.0.0.1"), None, 12485).number == 1


@pytest.mark.parametrize(
    ("hosts", "number", "said"),
    [
        (("127.0.0.1", "127.0.0.2"), None, "127.0.0.1 and 127.0.0.2 of them is this machine"),
        (("203.0.113.7", "203.0.113.8"), None, "none of them is this machine"),
        (("a", "b"), 2, "--rank 2: --hosts has 2 machines"),
        (("a", "a"), 0, "each machine has to be there once"),
        (("a", ""), 0, "'' is neither a name nor an address"),
        (("a:80", "b"), 0, "'a:80' is neither a name nor an address"),
    ],
)
def test_a_list_that_cannot_be_used(hosts: tuple[str, ...], number: int | None, said: str) -> None:
    with pytest.raises(CannotTrainError, match=said):
        listed(hosts, number, 12485)
