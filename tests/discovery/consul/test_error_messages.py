"""Real connections to a real Consul, over each of the three ways in which it is asked."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import trustme

from tests.support.canned_server import canned, nobody
from tests.support.secured_consul import MASTER, SecuredConsul, secured_consul, write
from tfleet.client import AsyncFleetClient, FleetUnavailableError
from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access, Tls
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.error_messages import (
    explain_denied,
    explain_rejected,
    explain_tls_error,
    request_error,
)
from tfleet.discovery.consul.health import ConsulHealth
from tfleet.discovery.errors import RegistryError


def test_an_unknown_token_differs_from_a_weak_one() -> None:
    assert explain_denied("ACL not found", "x") == (
        "it does not know the token: check CONSUL_HTTP_TOKEN and CONSUL_HTTP_TOKEN_FILE"
    )
    assert explain_denied("Permission denied\n", "service:write for tfleet") == (
        "Permission denied: set CONSUL_HTTP_TOKEN, or CONSUL_HTTP_TOKEN_FILE, to a token with service:write "
        "for tfleet"
    )


def test_another_refusal_has_no_advice_on_tokens() -> None:
    assert (
        explain_denied("a.b is no name of this registry\n", "service:write")
        == "a.b is no name of this registry"
    )


def test_http_to_an_https_port_says_what_to_set() -> None:
    assert "consul+https://HOST:PORT" in explain_rejected(
        "400 Client sent an HTTP request to an HTTPS server.\n"
    )
    assert explain_rejected("400 Bad index\n") == "400 Bad index"


def test_the_systems_message_is_found_in_the_cause() -> None:
    with pytest.raises(requests.RequestException) as raised:
        requests.get(nobody().url, timeout=5)
    assert request_error(raised.value) == "Connection refused"


def test_other_errors_are_described_by_their_root_cause() -> None:
    with canned(b"") as address, pytest.raises(requests.RequestException) as raised:
        requests.get(address.url, timeout=5)
    assert request_error(raised.value) == "Remote end closed connection without response"


def test_an_error_without_text_is_named_by_its_type() -> None:
    assert request_error(requests.ConnectionError()) == "ConnectionError"


DAY = timedelta(days=1)
TOOLS = {"ca_file": "CONSUL_CACERT", "client_cert": "CONSUL_CLIENT_CERT", "client_key": "CONSUL_CLIENT_KEY"}


@pytest.fixture(scope="module")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredConsul]:
    with secured_consul(tmp_path_factory.mktemp("consul")) as running:
        yield running


Ask = Callable[[Address, Tls], str]


def as_a_worker(address: Address, tls: Tls) -> str:
    """What an asking gives by way of error, empty where it has an answer."""
    try:
        ConsulAgent(address, "tfleet", ttl_s=10, access=Access(MASTER, tls=tls)).listed()
    except RegistryError as error:
        return str(error)
    return ""


def as_a_proxy(address: Address, tls: Tls) -> str:
    async def ask() -> str:
        health = ConsulHealth(address, wait_s=1, access=Access(MASTER, tls=tls))
        try:
            await health.service("tfleet", 0, 1)
        except RegistryError as error:
            return str(error)
        finally:
            await health.close()
        return ""

    return asyncio.run(ask())


def as_a_client(address: Address, tls: Tls) -> str:
    async def ask() -> str:
        async with AsyncFleetClient(f"consul+https://{address}") as client:
            with pytest.raises(FleetUnavailableError) as raised:
                await client.workers()
        return str(raised.value)

    with pytest.MonkeyPatch.context() as patch:
        for field, variable in TOOLS.items():
            if (path := getattr(tls, field)) is not None:
                patch.setenv(variable, str(path))
        patch.setenv("CONSUL_HTTP_TOKEN", MASTER)
        patch.setenv("CONSUL_TLS_SERVER_NAME", tls.server_name or "")
        patch.setenv("CONSUL_HTTP_SSL_VERIFY", str(tls.verify))
        said = asyncio.run(ask())
    return "" if said.startswith("no proxy is registered") else said


@pytest.fixture(params=[as_a_worker, as_a_proxy, as_a_client])
def ask(request: pytest.FixtureRequest) -> Ask:
    chosen: Ask = request.param
    return chosen


def test_a_client_that_trusts_the_ca_is_answered(consul: SecuredConsul, ask: Ask) -> None:
    consul.show(consul.ca.issue_cert("127.0.0.1"))
    assert ask(consul.https, Tls(ca_file=consul.ca_file)) == ""


def test_an_untrusted_ca_is_reported(consul: SecuredConsul, ask: Ask) -> None:
    consul.show(consul.ca.issue_cert("127.0.0.1"))
    said = ask(consul.https, Tls())
    assert "its certificate is from an untrusted CA: set CONSUL_CACERT" in said
    assert str(consul.https) in said
    assert ask(consul.https, Tls(verify=False)) == ""


def test_an_expired_certificate_is_reported(consul: SecuredConsul, ask: Ask) -> None:
    now = datetime.now(UTC)
    consul.show(consul.ca.issue_cert("127.0.0.1", not_before=now - 2 * DAY, not_after=now - DAY))
    assert "its certificate has expired" in ask(consul.https, Tls(ca_file=consul.ca_file))


def test_a_certificate_of_the_future_is_reported(consul: SecuredConsul, ask: Ask) -> None:
    now = datetime.now(UTC)
    consul.show(consul.ca.issue_cert("127.0.0.1", not_before=now + DAY, not_after=now + 2 * DAY))
    assert "is not valid yet: compare the clocks" in ask(consul.https, Tls(ca_file=consul.ca_file))


def test_a_wrong_server_name_is_reported_and_can_be_set(consul: SecuredConsul, ask: Ask) -> None:
    consul.show(consul.ca.issue_cert("server.dc1.consul"))
    said = ask(consul.https, Tls(ca_file=consul.ca_file))
    assert "its certificate is for another name (IP address mismatch" in said
    assert "set CONSUL_TLS_SERVER_NAME" in said
    assert ask(consul.https, Tls(ca_file=consul.ca_file, server_name="server.dc1.consul")) == ""
    assert "for another name" in ask(consul.https, Tls(ca_file=consul.ca_file, server_name="other"))


def test_a_wanted_client_certificate_is_reported_and_used(
    consul: SecuredConsul, ask: Ask, tmp_path: Path
) -> None:
    consul.show(consul.ca.issue_cert("127.0.0.1"), wants_certificate=True)
    said = "requires a client certificate from a CA that it trusts: set CONSUL_CLIENT_CERT"
    assert said in ask(consul.https, Tls(ca_file=consul.ca_file))
    cert, key = write(trustme.CA().issue_cert("stranger"), tmp_path, "client")
    shown = Tls(ca_file=consul.ca_file, client_cert=cert, client_key=key)
    assert said in ask(consul.https, shown)
    write(consul.ca.issue_cert("worker"), tmp_path, "client")
    assert ask(consul.https, shown) == ""
    assert ask(consul.https, Tls(verify=False, client_cert=cert, client_key=key)) == ""


def test_a_port_without_tls_is_reported(consul: SecuredConsul, ask: Ask) -> None:
    assert "it does not speak TLS there: use its HTTPS port" in ask(consul.http, Tls())


def test_an_error_not_from_tls_gives_none() -> None:
    assert explain_tls_error(ConnectionRefusedError("refused")) == ""
