import pytest

from tfleet.discovery.address import Address
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
def test_each_form_is_read(text: str | None, variable: str | None, expected: Registry) -> None:
    assert parse_registry(text, consul_http_addr=variable) == expected


@pytest.mark.parametrize("text", ["etcd://x", "consul:x", "static:a", "consul://a:b", "nonsense"])
def test_what_is_no_registry_is_named_in_the_error(text: str) -> None:
    with pytest.raises(BadRegistryError, match=text[:4]):
        parse_registry(text)


@pytest.mark.parametrize("variable", ["unix:///run/consul.sock", "https://consul:8501", "a:b"])
def test_a_variable_that_can_t_be_used_is_named_in_the_error(variable: str) -> None:
    with pytest.raises(BadRegistryError, match="CONSUL_HTTP_ADDR"):
        parse_registry(None, consul_http_addr=variable)


def test_registries_read_well_in_a_log() -> None:
    assert str(parse_registry("consul://c:1")) == "consul://c:1"
    assert str(parse_registry("static:a:1,b:2")) == "static:a:1,b:2"
    assert str(EMBEDDED) == "embedded (127.0.0.1:12481)"
