from __future__ import annotations

from pathlib import Path

import pytest

from tfleet.client.proxies.addresses import BadProxyError, NamedProxies, ProxiesInRegistry, parse_whereabouts
from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access, Tls
from tfleet.discovery.registry import ConsulRegistry

ONE, TWO = "http://one:12480", "http://two:80"


@pytest.mark.parametrize(
    ("proxy", "urls"),
    [
        ("one", (ONE,)),
        ("one, two:80", (ONE, TWO)),
        (["one:12480", "http://two:80/"], (ONE, TWO)),
        (("one,two:80", "one"), (ONE, TWO)),
        (["one,"], (ONE,)),
    ],
)
def test_proxies_are_a_list_or_comma_separated_and_unique(
    proxy: str | list[str], urls: tuple[str, ...]
) -> None:
    assert parse_whereabouts(proxy) == NamedProxies(urls)


@pytest.mark.parametrize(
    ("proxy", "registry", "service"),
    [
        ("consul://10.0.0.5", Address("10.0.0.5", 8500), "tfleet-proxy"),
        ("consul://10.0.0.5:80/", Address("10.0.0.5", 80), "tfleet-proxy"),
        (["consul://[::1]:80/pets"], Address("::1", 80), "pets-proxy"),
    ],
)
def test_a_registry_is_asked_for_the_proxies_of_one_fleet(
    proxy: str | list[str], registry: Address, service: str
) -> None:
    assert parse_whereabouts(proxy) == ProxiesInRegistry(ConsulRegistry(registry), service)


def test_one_with_tls_and_acls_is_asked_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "secret")
    monkeypatch.setenv("CONSUL_CACERT", "/ca.pem")
    access = Access("secret", tls=Tls(ca_file=Path("/ca.pem")))
    listed = parse_whereabouts("consul+https://consul/pets")
    assert listed == ProxiesInRegistry(ConsulRegistry(Address("consul", 8501), access), "pets-proxy")
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", "perhaps")
    with pytest.raises(BadProxyError, match="CONSUL_HTTP_SSL_VERIFY=perhaps"):
        parse_whereabouts("consul+https://consul/pets")


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("", "HOST:PORT"),
        ([], "HOST:PORT"),
        (",", "HOST:PORT"),
        ("one,two:many", "'two:many'"),
        ("consul://", "'consul://' is no registry's address"),
        ("consul://h:port", "'consul://h:port' is no registry's address"),
        ("consul://h/a/b", "names no service"),
        ("consul://h/a b", "names no service"),
        ("consul://one,consul://two", "consul://HOST:PORT and nothing else"),
        (["consul://one", "two"], "consul://HOST:PORT and nothing else"),
    ],
)
def test_anything_else_is_refused_in_one_line(proxy: str | list[str], said: str) -> None:
    with pytest.raises(BadProxyError) as caught:
        parse_whereabouts(proxy)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_str_shows_addresses_or_registry() -> None:
    assert str(NamedProxies((ONE, TWO))) == f"{ONE}, {TWO}"
    assert (
        str(ProxiesInRegistry(ConsulRegistry(Address("10.0.0.5", 80)), "pets-proxy"))
        == "pets-proxy in consul://10.0.0.5:80"
    )
