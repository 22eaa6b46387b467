from __future__ import annotations

import pytest

from tfleet.client.proxies.addresses import BadProxyError, parse_proxy


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
def test_anything_else_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(BadProxyError, match=r"HOST:PORT or http://HOST:PORT") as caught:
        parse_proxy(text)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("page", ["predict", "worker", "workers", "readyz", "metrics"])
def test_the_address_of_a_page_is_refused_with_the_proxys(page: str) -> None:
    with pytest.raises(BadProxyError, match=rf"without /{page} it is the proxy's, https://a/cats$"):
        parse_proxy(f"https://a/cats/{page}/")
