import pytest

from tfleet.contract.address import Address, BadAddressError, address_of, is_loopback, is_unspecified


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:80", Address("localhost", 80)),
        (" 10.0.0.1:65535 ", Address("10.0.0.1", 65535)),
        ("[::1]:8500", Address("::1", 8500)),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected
    assert str(expected) == text.strip()


def test_a_bare_host_takes_the_default_port() -> None:
    assert Address.parse("consul", default_port=8500) == Address("consul", 8500)
    assert Address.parse("[::1]", default_port=8500) == Address("::1", 8500)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":80", "host", "host:", "host:0", "host:65536", "host:8o", "host:٣"),
        *("::1", "[::1", "[::1]x:1", "user@host:1", "a b:1", "host/x:1", "http://host:1"),
        *("a..b:1", "-a:1", f"{'a' * 64}:1", f"{'a.' * 127}:1", "h\u00f6st:1", "1.2.3.4%eth0:1"),
    ],
)
def test_an_invalid_address_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(BadAddressError, match="expected"):
        Address.parse(text)


def test_a_url_has_brackets_around_an_ipv6_address() -> None:
    assert Address("::1", 1).url == "http://[::1]:1"


@pytest.mark.parametrize(
    "host", ["localhost", "10.0.0.1", "::1", "worker_1.fleet_net", "a" * 63, "b.consul."]
)
def test_a_valid_host_and_port_make_an_address(host: str) -> None:
    assert address_of(host, 8000) == Address(host, 8000)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("", 80),
        ("a..b", 80),
        ("a/b?c", 80),
        ("a@b", 80),
        (7, 80),
        ("a", 0),
        ("a", 65536),
        ("a", True),
        ("a", "80"),
    ],
)
def test_an_invalid_host_or_port_is_none(host: object, port: object) -> None:
    assert address_of(host, port) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "::1", "localhost", "tfleet.localhost"])
def test_loopback_is_known_in_each_of_its_forms(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "::2", "host", "localhost.example", ""])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(("host", "everywhere"), [("0.0.0.0", True), ("::", True), ("10.0.0.0", False)])
def test_every_interface_has_an_address_to_listen_on(host: str, everywhere: bool) -> None:
    assert is_unspecified(host) is everywhere
