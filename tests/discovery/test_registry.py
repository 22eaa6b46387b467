import pytest

from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access, Tls
from tfleet.discovery.registry import (
    BadRegistryError,
    ConsulRegistry,
    EmbeddedRegistry,
    Registry,
    StaticRegistry,
    parse_registry,
)

EMBEDDED = EmbeddedRegistry(Address("127.0.0.1", 12481))


@pytest.mark.parametrize(
    ("text", "variable", "expected"),
    [
        (None, None, EMBEDDED),
        ("", None, EMBEDDED),
        ("embedded", "10.0.0.1:8500", EMBEDDED),
        (None, "10.0.0.1:8501", ConsulRegistry(Address("10.0.0.1", 8501))),
        (None, "http://consul:8500", ConsulRegistry(Address("consul", 8500))),
        (None, "consul", ConsulRegistry(Address("consul", 8500))),
        ("consul://c:1", "ignored:2", ConsulRegistry(Address("c", 1))),
        ("consul://c/", None, ConsulRegistry(Address("c", 8500))),
        ("consul://[::1]:8500", None, ConsulRegistry(Address("::1", 8500))),
        ("static:a:1,b:2", None, StaticRegistry((Address("a", 1), Address("b", 2)))),
        ("static:", None, StaticRegistry(())),
    ],
)
def test_each_form_of_the_registry_option_is_read(
    text: str | None, variable: str | None, expected: Registry
) -> None:
    assert parse_registry(text, {"CONSUL_HTTP_ADDR": variable or ""}) == expected


@pytest.mark.parametrize(
    ("text", "environ", "port"),
    [
        ("consul+https://c:1", {}, 1),
        ("consul+https://c", {}, 8501),
        (None, {"CONSUL_HTTP_ADDR": "https://c:1"}, 1),
        (None, {"CONSUL_HTTP_ADDR": "https://c"}, 8501),
        (None, {"CONSUL_HTTP_ADDR": "c:1", "CONSUL_HTTP_SSL": "true"}, 1),
        (None, {"CONSUL_HTTP_ADDR": "http://c:1", "CONSUL_HTTP_SSL": "true"}, 1),
    ],
)
def test_tls_is_asked_for_in_these_ways(text: str | None, environ: dict[str, str], port: int) -> None:
    tls = Tls(server_name="n")
    found = parse_registry(text, {**environ, "CONSUL_HTTP_TOKEN": "t", "CONSUL_TLS_SERVER_NAME": "n"})
    assert found == ConsulRegistry(Address("c", port), Access("t", tls=tls))
    assert isinstance(found, ConsulRegistry)
    assert found.url == f"https://c:{port}"
    assert str(found) == f"consul+https://c:{port}"


def test_an_option_without_tls_overrides_the_environment() -> None:
    """So that `tfleet up` can tell its children where its own registry is."""
    environ = {"CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_SSL_VERIFY": "nonsense"}
    assert parse_registry("consul://c:1", environ) == ConsulRegistry(Address("c", 1))


def test_the_embedded_registry_gets_no_consul_token() -> None:
    found = parse_registry("embedded", {"CONSUL_HTTP_TOKEN": "secret"})
    assert isinstance(found, EmbeddedRegistry)
    assert found.access == Access()


@pytest.mark.parametrize(
    "environ",
    [{"CONSUL_HTTP_SSL_VERIFY": "perhaps"}, {"CONSUL_CLIENT_KEY": "k"}, {"CONSUL_HTTP_SSL": "perhaps"}],
)
def test_an_unusable_access_is_reported(environ: dict[str, str]) -> None:
    (variable,) = environ
    with pytest.raises(BadRegistryError, match=variable):
        parse_registry(None, {"CONSUL_HTTP_ADDR": "https://c", **environ})


@pytest.mark.parametrize("text", ["etcd://x", "consul:x", "static:a", "consul://a:b", "nonsense"])
def test_an_invalid_registry_is_named_in_the_error(text: str) -> None:
    with pytest.raises(BadRegistryError, match=text[:4]):
        parse_registry(text)


@pytest.mark.parametrize("variable", ["unix:///run/consul.sock", "ftp://consul", "https://a:b", "a:b"])
def test_a_variable_that_can_t_be_used_is_named_in_the_error(variable: str) -> None:
    with pytest.raises(BadRegistryError, match="CONSUL_HTTP_ADDR"):
        parse_registry(None, {"CONSUL_HTTP_ADDR": variable})


def test_registries_read_well_in_a_log() -> None:
    assert str(parse_registry("consul://c:1")) == "consul://c:1"
    assert str(parse_registry("static:a:1,b:2")) == "static:a:1,b:2"
    assert str(EMBEDDED) == "embedded (127.0.0.1:12481)"
