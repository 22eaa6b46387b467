from __future__ import annotations

import pytest

from tfleet.discovery.embedded.check_targets import (
    UnreachableTargetError,
    addresses_of,
    allowed_addresses,
    is_local,
    normalized,
    reachable_of,
)

OURS = {"127.0.0.1", "::1", "10.0.0.1"}


@pytest.mark.parametrize(
    ("addresses", "registrant", "within"),
    [
        (["10.0.0.5"], "10.0.0.5", ["10.0.0.5"]),
        (["10.0.0.5"], "::ffff:10.0.0.5", ["10.0.0.5"]),
        (["10.0.0.7", "10.0.0.5", "10.0.0.9"], "10.0.0.5", ["10.0.0.5"]),
        (["127.0.0.1"], "10.0.0.1", ["127.0.0.1"]),
        (["10.0.0.1"], "127.0.0.1", ["10.0.0.1"]),
        (["::1", "127.0.0.1"], "::1", ["::1", "127.0.0.1"]),
    ],
)
def test_the_registering_machine_is_reached(addresses: list[str], registrant: str, within: list[str]) -> None:
    assert reachable_of(addresses, registrant, OURS.__contains__) == within


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
    with pytest.raises(
        UnreachableTargetError, match=rf"and not {addresses[0]} \(behind a NAT: --no-self-test\)$"
    ):
        reachable_of(addresses, registrant, OURS.__contains__)


def test_one_address_has_one_spelling() -> None:
    assert normalized("::FFFF:10.0.0.5") == "10.0.0.5"
    assert normalized("0:0:0:0:0:0:0:1") == "::1"
    assert normalized("nonsense") == "nonsense"


def test_the_kernel_knows_which_addresses_are_ours() -> None:
    assert is_local("127.0.0.1")
    assert is_local("127.9.8.7")
    assert not is_local("203.0.113.7")
    assert not is_local("2001:db8::7")
    assert not is_local("nonsense")


def test_with_nonlocal_bind_the_kernel_tells_no_address() -> None:
    taken: list[str] = []
    assert is_local("127.9.8.7", taken.append)
    assert is_local("::1", taken.append)
    for foreign in ("203.0.113.7", "10.0.0.1", "169.254.169.254", "2001:db8::7"):
        assert not is_local(foreign, taken.append)
    assert {"198.51.100.1", "2001:db8::1"} < set(taken)


def test_without_nonlocal_bind_the_kernel_tells_our_addresses() -> None:
    def bind(address: str) -> None:
        if address not in OURS:
            raise OSError

    assert is_local("10.0.0.1", bind)
    assert not is_local("10.0.0.2", bind)


def test_a_name_has_the_resolvers_addresses() -> None:
    assert "127.0.0.1" in addresses_of("localhost", 80)
    with pytest.raises(OSError, match="not known"):
        addresses_of("nobody.invalid", 80)


async def test_only_a_name_is_looked_up() -> None:
    async def look_up(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["10.0.0.5", "10.0.0.7"]

    asked: list[tuple[str, int]] = []
    assert await allowed_addresses("10.0.0.5", 80, "10.0.0.5", look_up) == ["10.0.0.5"]
    assert await allowed_addresses("2001:db8::5", 80, "2001:db8::5", look_up) == ["2001:db8::5"]
    assert asked == []
    assert await allowed_addresses("a.test", 80, "10.0.0.5", look_up) == ["10.0.0.5"]
    assert asked == [("a.test", 80)]
