import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.canned_server import canned, http, nobody
from tests.support.fake_docker_engine import CONTAINER, engine
from tfleet.contract.address import Address
from tfleet.worker.address.docker_port import NotPublishedError, binding, published_port

PORTS = {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}], "9000/tcp": None}
NAMES = ("some-other-name", CONTAINER)


def asked(monkeypatch: pytest.MonkeyPatch, where: str, port: int = 8000, host: str = "") -> Address:
    monkeypatch.setenv("DOCKER_HOST", where)
    return published_port(port, host, NAMES)


def refusal(monkeypatch: pytest.MonkeyPatch, where: str, port: int = 8000) -> str:
    with pytest.raises(NotPublishedError) as raised:
        asked(monkeypatch, where, port)
    text = str(raised.value)
    assert "\n" not in text
    return text


def test_the_engine_in_docker_host_is_asked_for_each_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine(PORTS) as where:
        assert asked(monkeypatch, f"tcp://{where}") == Address("0.0.0.0", 32768)


def test_a_host_that_was_given_stands_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine(PORTS) as where:
        assert asked(monkeypatch, f"tcp://{where}", host="gpu1") == Address("gpu1", 32768)


@pytest.mark.parametrize("port", [9000, 9001])
def test_an_unpublished_port_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    with engine(PORTS) as where:
        said = refusal(monkeypatch, f"tcp://{where}", port)
    assert said.startswith(
        f'port {port} of the container fleet-worker-1 is not published: add ports: ["{port}"]'
    )


def test_an_engine_without_this_container_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the names that it was asked for."""
    with engine({}) as where:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{where}")
        with pytest.raises(
            NotPublishedError, match=r"does not run this worker's container .*one, two\): set DOCKER_HOST"
        ):
            published_port(8000, "", ["one", "two"])


def test_a_socket_proxy_that_forbids_all_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine(PORTS, refuses=True) as where:
        said = refusal(monkeypatch, f"tcp://{where}")
    assert "does not show this container: not for you; a socket proxy has to allow" in said


def test_a_web_page_in_the_engines_place_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<html>\n  <p>Not\n here</p>" + b" and so on" * 1000
    with canned(http("404 Not Found", page)) as where:
        said = refusal(monkeypatch, f"tcp://{where}")
    assert "does not show this container: <html> <p>Not here</p> and so on" in said
    assert len(said) < 500


def test_without_a_socket_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = refusal(monkeypatch, f"unix://{tmp_path}/docker.sock")
    assert said.startswith(f"there is no Docker socket at {tmp_path}/docker.sock: mount it (-v ")
    assert "DOCKER_HOST=tcp://HOST:2375" in said


def test_a_socket_without_an_engine_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/docker.sock")
    assert "Connection refused; see DOCKER_HOST" in refusal(monkeypatch, f"unix://{tmp_path}/docker.sock")


def test_no_listener_at_docker_host_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    where = f"tcp://{nobody()}"
    assert refusal(monkeypatch, where).startswith(f"Docker does not answer at {where}: ")


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:port", "carrier-pigeon://x"])
def test_an_invalid_docker_host_is_reported(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    assert where in refusal(monkeypatch, where)


def test_a_server_that_is_no_engine_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with canned(http("200 OK", b"hello")) as where:
        assert "is not Docker" in refusal(monkeypatch, f"tcp://{where}")


def bound(*hosts: str, port: str = "32768") -> list[dict[str, str]]:
    return [{"HostIp": host, "HostPort": port} for host in hosts]


@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        (bound("0.0.0.0", "::"), Address("0.0.0.0", 32768)),
        (bound("::", "0.0.0.0"), Address("0.0.0.0", 32768)),
        (bound("::"), Address("0.0.0.0", 32768)),
        (bound(""), Address("0.0.0.0", 32768)),
        (bound("127.0.0.1"), Address("127.0.0.1", 32768)),
        (bound("2001:db8::9", "192.0.2.7"), Address("192.0.2.7", 32768)),
        (bound("2001:db8::9"), Address("2001:db8::9", 32768)),
        (bound("0.0.0.0", port="0"), None),
        (bound("0.0.0.0", port=""), None),
        ([], None),
        (None, None),
        (["?"], None),
    ],
)
def test_a_port_s_binding_is_an_address_of_the_machine(bindings: Any, expected: Address | None) -> None:
    assert binding({"NetworkSettings": {"Ports": {"8000/tcp": bindings}}}, 8000) == expected


@pytest.mark.parametrize(
    "container",
    [
        {},
        {"NetworkSettings": None},
        {"NetworkSettings": {"Ports": None}},
        {"NetworkSettings": {"Ports": {"8000/udp": bound("0.0.0.0"), "8001/tcp": bound("0.0.0.0")}}},
    ],
)
def test_without_a_binding_for_this_port_there_is_no_address(container: dict[str, Any]) -> None:
    assert binding(container, 8000) is None
