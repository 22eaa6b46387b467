from typing import Any

import pytest

from tfleet.contract.address import Address
from tfleet.worker.address.docker_port import binding


def bound(*hosts: str, port: str = "32768") -> list[dict[str, str]]:
    return [{"HostIp": host, "HostPort": port} for host in hosts]


@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        (bound("0.0.0.0", "::"), Address("0.0.0.0", 32768)),
        (bound("::", "0.0.0.0"), Address("0.0.0.0", 32768)),
        (bound("::"), Address("0.0.0.0", 32768)),
        (bound(""), Address("0.0.0.0", 32768)),
        (bound("127.0.0.1"), Address("127.0.0.1", 32768)),
        (bound("2001:db8::9", "192.0.2.7"), Address("192.0.2.7", 32768)),
        (bound("2001:db8::9"), Address("2001:db8::9", 32768)),
        (bound("0.0.0.0", port="0"), None),
        (bound("0.0.0.0", port=""), None),
        ([], None),
        (None, None),
        (["?"], None),
    ],
)
def test_a_port_s_binding_is_an_address_of_the_machine(bindings: Any, expected: Address | None) -> None:
    assert binding({"NetworkSettings": {"Ports": {"8000/tcp": bindings}}}, 8000) == expected


@pytest.mark.parametrize(
    "container",
    [
        {},
        {"NetworkSettings": None},
        {"NetworkSettings": {"Ports": None}},
        {"NetworkSettings": {"Ports": {"8000/udp": bound("0.0.0.0"), "8001/tcp": bound("0.0.0.0")}}},
    ],
)
def test_without_one_for_this_port_there_is_none(container: dict[str, Any]) -> None:
    assert binding(container, 8000) is None
