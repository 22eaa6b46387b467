"""What a browser would send on behalf of a page, to a registry on a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.discovery.embedded.calls import call
from tests.support.embedded_registry import embedded_registry
from tfleet.contract.address import Address

REGISTER = "/v1/agent/service/register"
SERVICES = "/v1/agent/services"
SERVICE = json.dumps({"Name": "tfleet", "ID": "stranger", "Port": 80})


@pytest.fixture
def registry() -> Iterator[Address]:
    with embedded_registry() as address:
        yield address


def services(registry: Address) -> dict[str, object]:
    status, text = call(registry, "GET", SERVICES, {})
    assert status == 200
    found: dict[str, object] = json.loads(text)
    return found


def test_a_page_whose_name_was_made_to_lead_here_is_refused(registry: Address) -> None:
    for method, path, body in (("GET", SERVICES, ""), ("PUT", REGISTER, SERVICE)):
        host = f"evil.example:{registry.port}"
        status, text = call(registry, method, path, {"Host": host, "Origin": f"http://{host}"}, body)
        assert status == 403
        assert text == (
            "evil.example is not a known name of this registry: use its address, or "
            "run `tfleet registry --allow-host evil.example`"
        )
    assert services(registry) == {}


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_sites_page_neither_reads_nor_registers(
    registry: Address, headers: Mapping[str, str]
) -> None:
    for method, path, body in (("GET", SERVICES, ""), ("PUT", REGISTER, SERVICE)):
        status, text = call(registry, method, path, headers, body)
        assert status == 403
        assert text.endswith("the registry is for programs, not for browsers")
    assert services(registry) == {}


@pytest.mark.parametrize("host", ["registry:12481", "localhost:12481", "10.0.0.1:12481", "[::1]:12481"])
def test_a_program_registers_by_any_name_of_ours(registry: Address, host: str) -> None:
    assert call(registry, "PUT", REGISTER, {"Host": host}, SERVICE)[0] == 200
    assert list(services(registry)) == ["stranger"]
