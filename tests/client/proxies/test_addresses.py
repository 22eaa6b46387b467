from __future__ import annotations

from pathlib import Path

import pytest

from tfleet.client.proxies.addresses import (
    BadProxyError,
    NamedProxies,
    ProxiesInRegistry,
    parse_proxies,
    parse_proxy,
)
from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access, Tls
from tfleet.discovery.registry import ConsulRegistry


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:12480", "http://localhost:12480"),
        ("gpu-box", "http://gpu-box:12480"),
        (" 10.0.0.1:80/ ", "http://10.0.0.1:80"),
        ("[::1]:12480", "http://[::1]:12480"),
        ("http://localhost:12480/", "http://localhost:12480"),
        ("https://fleet.example/cats/", "https://fleet.example/cats"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_proxy_is_a_host_and_port_or_a_url(text: str, url: str) -> None:
    assert parse_proxy(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:many",
        "localhost:0",
        "ftp://localhost",
        "http://",
        "http://localhost:99999",
        "http://localhost:0",
        "http://local host",
        "http://[::1",
        "http://user:secret@localhost",
        "http://localhost?top=1",
        "http://localhost#x",
        "a b",
    ],
)
def test_an_invalid_address_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(BadProxyError, match=r"HOST:PORT or http://HOST:PORT") as caught:
        parse_proxy(text)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("page", ["predict", "worker", "workers", "readyz", "metrics"])
def test_the_address_of_a_page_is_refused_with_the_proxys(page: str) -> None:
    with pytest.raises(BadProxyError, match=rf"without /{page} it is the proxy's, https://a/cats$"):
        parse_proxy(f"https://a/cats/{page}/")


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
    assert parse_proxies(proxy) == NamedProxies(urls)


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
    assert parse_proxies(proxy) == ProxiesInRegistry(ConsulRegistry(registry), service)


def test_a_registry_is_asked_with_consuls_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "secret")
    monkeypatch.setenv("CONSUL_CACERT", "/ca.pem")
    access = Access("secret", tls=Tls(ca_file=Path("/ca.pem")))
    listed = parse_proxies("consul+https://consul/pets")
    assert listed == ProxiesInRegistry(ConsulRegistry(Address("consul", 8501), access), "pets-proxy")
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", "perhaps")
    with pytest.raises(BadProxyError, match="CONSUL_HTTP_SSL_VERIFY=perhaps"):
        parse_proxies("consul+https://consul/pets")


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
def test_an_invalid_registry_is_refused_in_one_line(proxy: str | list[str], said: str) -> None:
    with pytest.raises(BadProxyError) as caught:
        parse_proxies(proxy)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_str_shows_addresses_or_registry() -> None:
    assert str(NamedProxies((ONE, TWO))) == f"{ONE}, {TWO}"
    assert (
        str(ProxiesInRegistry(ConsulRegistry(Address("10.0.0.5", 80)), "pets-proxy"))
        == "pets-proxy in consul://10.0.0.5:80"
    )
