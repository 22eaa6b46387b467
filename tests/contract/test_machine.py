from __future__ import annotations

import socket
import threading

import pytest

from tests.support.waiting import eventually_sync
from tfleet.contract.origin import Machine, foreign_host, machine


def test_the_full_name_is_ours_once_it_is_known() -> None:
    known = threading.Event()

    def full() -> str:
        known.wait()
        return "Box.Corp.Example.com."

    box = Machine(lambda: "Box", full)
    try:
        assert box.names == {"box"}
    finally:
        known.set()
    eventually_sync(lambda: box.names == {"box", "box.corp.example.com"})


@pytest.mark.parametrize("found", ["box", "1-2-3-4.provider.example", "boxer.example.com", "localhost"])
def test_another_name_of_the_address_is_not_the_machines(found: str) -> None:
    looked = threading.Event()

    def full() -> str:
        looked.set()
        return found

    box = Machine(lambda: "box", full)
    assert looked.wait(timeout=10)
    assert box.names == {"box"}


def test_a_full_name_is_not_looked_up() -> None:
    assert Machine(lambda: "box.example.com", lambda: "box.example.com.evil.com").names == {"box.example.com"}


def test_this_machine_is_asked_by_its_full_name() -> None:
    full = socket.getfqdn()
    if not full.lower().startswith(f"{socket.gethostname().lower()}."):
        pytest.skip("this machine has no full name")
    eventually_sync(lambda: full.lower() in machine().names)
    assert foreign_host({"Host": full}.get, ()) is None
