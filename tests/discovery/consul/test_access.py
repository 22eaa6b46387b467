from pathlib import Path

import pytest

from tfleet.discovery.consul.access import Access, BadAccessError, Tls, access_from, wants_tls

TOKEN = {"CONSUL_HTTP_TOKEN": "secret", "CONSUL_HTTP_TOKEN_FILE": "/run/token"}
TLS = {
    "CONSUL_CACERT": "/ca.pem",
    "CONSUL_CAPATH": "/cas",
    "CONSUL_CLIENT_CERT": "/c.pem",
    "CONSUL_CLIENT_KEY": "/c.key",
    "CONSUL_HTTP_SSL_VERIFY": "0",
    "CONSUL_TLS_SERVER_NAME": "server.dc1.consul",
}


def test_the_variables_of_consul_s_own_tools_are_read() -> None:
    tls = Tls(
        ca_file=Path("/ca.pem"),
        ca_folder=Path("/cas"),
        client_cert=Path("/c.pem"),
        client_key=Path("/c.key"),
        verify=False,
        server_name="server.dc1.consul",
    )
    assert access_from(TOKEN | TLS, tls=True) == Access("secret", Path("/run/token"), tls)


def test_without_tls_its_variables_are_not_looked_at() -> None:
    assert access_from({**TLS, "CONSUL_HTTP_SSL_VERIFY": "nonsense"}, tls=False) == Access()


def test_an_empty_variable_counts_as_unset() -> None:
    """As docker compose passes on what nobody has set."""
    assert access_from(dict.fromkeys(TOKEN | TLS, ""), tls=True) == Access(tls=Tls())


@pytest.mark.parametrize(("text", "meant"), [("1", True), ("True", True), ("f", False), ("", False)])
def test_a_switch_is_read_as_consul_reads_it(text: str, meant: bool) -> None:
    assert wants_tls({"CONSUL_HTTP_SSL": text}) is meant


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"CONSUL_HTTP_SSL_VERIFY": "no"}, "CONSUL_HTTP_SSL_VERIFY=no: expected true or false"),
        ({"CONSUL_CLIENT_CERT": "c"}, "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY are needed together"),
        ({"CONSUL_CLIENT_KEY": "c"}, "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY are needed together"),
    ],
)
def test_an_unusable_value_is_reported(environ: dict[str, str], told: str) -> None:
    with pytest.raises(BadAccessError, match=told):
        access_from(environ, tls=True)


def test_a_token_is_not_shown_in_logs() -> None:
    assert "secret" not in repr(Access("secret"))


def test_an_empty_list_is_explained_by_the_token() -> None:
    """By what it needs, or by there being none."""
    assert Access("secret").acl_hint("tfleet") == (
        "if Consul has ACLs, the token needs service:read for tfleet and node:read"
    )
    assert Access().acl_hint("tfleet") == (
        "if Consul has ACLs, set CONSUL_HTTP_TOKEN to a token with service:read for tfleet and node:read"
    )
