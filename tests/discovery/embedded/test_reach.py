from __future__ import annotations

import pytest

from tfleet.discovery.embedded.reach import OutOfReachError, is_ours, lookup, plain, within_reach

OURS = {"127.0.0.1", "::1", "10.0.0.1"}


@pytest.mark.parametrize(
    ("addresses", "registrant", "reached"),
    [
        (["10.0.0.5"], "10.0.0.5", ["10.0.0.5"]),
        (["10.0.0.5"], "::ffff:10.0.0.5", ["10.0.0.5"]),
        (["10.0.0.7", "10.0.0.5", "10.0.0.9"], "10.0.0.5", ["10.0.0.5"]),
        (["127.0.0.1"], "10.0.0.1", ["127.0.0.1"]),
        (["10.0.0.1"], "127.0.0.1", ["10.0.0.1"]),
        (["::1", "127.0.0.1"], "::1", ["::1", "127.0.0.1"]),
    ],
)
def test_the_registering_machine_is_reached(
    addresses: list[str], registrant: str, reached: list[str]
) -> None:
    assert within_reach(addresses, registrant, OURS.__contains__) == reached


@pytest.mark.parametrize(
    ("addresses", "registrant"),
    [
        (["10.0.0.7"], "10.0.0.5"),
        (["127.0.0.1"], "10.0.0.5"),
        (["10.0.0.1"], "10.0.0.5"),
        (["10.0.0.7"], "127.0.0.1"),
        (["169.254.169.254"], "127.0.0.1"),
        (["::ffff:127.0.0.1"], "10.0.0.5"),
        (["10.0.0.5"], ""),
    ],
)
def test_no_other_machine_is_reached(addresses: list[str], registrant: str) -> None:
    with pytest.raises(OutOfReachError, match=f"and not {addresses[0]}"):
        within_reach(addresses, registrant, OURS.__contains__)


def test_one_address_has_one_spelling() -> None:
    assert plain("::FFFF:10.0.0.5") == "10.0.0.5"
    assert plain("0:0:0:0:0:0:0:1") == "::1"
    assert plain("nonsense") == "nonsense"


def test_the_kernel_knows_which_addresses_are_ours() -> None:
    assert is_ours("127.0.0.1")
    assert is_ours("127.9.8.7")
    assert not is_ours("203.0.113.7")
    assert not is_ours("2001:db8::7")
    assert not is_ours("nonsense")


async def test_a_name_is_looked_up() -> None:
    assert "127.0.0.1" in await lookup("localhost", 80, "127.0.0.1")
    with pytest.raises(OSError, match="not known"):
        await lookup("nobody.invalid", 80, "127.0.0.1")
