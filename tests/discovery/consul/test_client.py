from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme
from consul.exceptions import ACLPermissionDenied, BadRequest, ClientError, ConsulException

from tests.support.secured_consul import MASTER, SecuredConsul, secured_consul
from tfleet.discovery.consul.access import Access, Tls
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.client import call_registry
from tfleet.discovery.consul.error_messages import explain_denied
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError


def test_a_calls_result_is_returned() -> None:
    assert call_registry("the registry", lambda: 5, needed="nothing") == 5


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ACLPermissionDenied("no"),
            RegistryRefusedError(f"the registry refuses: {explain_denied('no', 'x')}"),
        ),
        (BadRequest("400"), RegistryRefusedError("the registry refuses: 400")),
        (ClientError("429"), RegistryRefusedError("the registry refuses: 429")),
        (ConsulException("500"), RegistryUnavailableError("the registry failed: 500")),
        (requests.Timeout("slow"), RegistryUnavailableError("the registry does not answer: slow")),
        (KeyError("ID"), RegistryUnavailableError("the registry does not answer as Consul does: 'ID'")),
        (TypeError("x"), RegistryUnavailableError("the registry does not answer as Consul does: x")),
        (ValueError("x"), RegistryUnavailableError("the registry does not answer as Consul does: x")),
    ],
)
def test_an_error_says_what_to_do(error: Exception, told: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(told)) as raised:
        call_registry("the registry", fail, needed="x")
    assert str(raised.value) == str(told)
    assert raised.value.__cause__ is error


@pytest.fixture(scope="module")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredConsul]:
    with secured_consul(tmp_path_factory.mktemp("consul")) as running:
        yield running


def believing(ca_file: Path) -> Access:
    return Access(MASTER, tls=Tls(ca_file=ca_file))


def test_a_changed_ca_and_token_are_used_from_then_on(consul: SecuredConsul, tmp_path: Path) -> None:
    ca_file, token_file = tmp_path / "ca.pem", tmp_path / "token"
    consul.ca.cert_pem.write_to_path(ca_file)
    token_file.write_text(MASTER)
    agent = ConsulAgent(consul.https, "tfleet", ttl_s=10, access=Access("", token_file, Tls(ca_file=ca_file)))
    agent.listed()
    token_file.write_text("another")
    with pytest.raises(RegistryRefusedError, match="CONSUL_HTTP_TOKEN_FILE"):
        agent.listed()
    token_file.write_text(MASTER)
    trustme.CA().cert_pem.write_to_path(ca_file)
    with pytest.raises(RegistryUnavailableError, match="CONSUL_CACERT"):
        agent.listed()
    consul.ca.cert_pem.write_to_path(ca_file)
    agent.listed()


def test_the_environment_does_not_overrule_what_was_said(
    consul: SecuredConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    """py-consul reads variables by itself, and requests some more."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "of somebody else")
    monkeypatch.setenv("CONSUL_HTTP_SSL", "true")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    ConsulAgent(consul.http, "tfleet", ttl_s=10, access=Access(MASTER)).listed()
    ConsulAgent(consul.https, "tfleet", ttl_s=10, access=believing(consul.ca_file)).listed()
