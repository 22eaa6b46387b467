"""A real engine's stand-in, and a proxy that answers nothing right, which must never be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.canned_server import canned, http
from tests.support.fake_docker_engine import CONTAINER, engine
from tfleet.contract.address import Address
from tfleet.deploy.compose.engine import EngineError, connected
from tfleet.runtime.docker_client import engine_client
from tfleet.worker.address.docker_port import published_port

PORTS = {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}]}
VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy")


@pytest.fixture
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with canned(http("502 Bad Gateway")) as proxy:
        for name in VARIABLES:
            monkeypatch.setenv(name, f"http://{proxy}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield


@pytest.fixture
def docker_host(monkeypatch: pytest.MonkeyPatch) -> Callable[[Address], None]:
    return lambda where: monkeypatch.setenv("DOCKER_HOST", f"tcp://{where}")


@pytest.mark.usefixtures("behind_a_proxy")
def test_the_engine_is_asked_past_a_proxy(docker_host: Callable[[Address], None]) -> None:
    with engine(PORTS) as where:
        docker_host(where)
        with engine_client(timeout_s=5.0) as client:
            assert client.api.inspect_container(CONTAINER)["Id"] == CONTAINER


@pytest.mark.usefixtures("behind_a_proxy")
def test_a_worker_finds_its_port_past_a_proxy(docker_host: Callable[[Address], None]) -> None:
    with engine(PORTS) as where:
        docker_host(where)
        assert published_port(8000, names=[CONTAINER]).port == 32768


@pytest.mark.usefixtures("behind_a_proxy")
def test_tfleet_scale_asks_past_a_proxy(docker_host: Callable[[Address], None]) -> None:
    with engine(PORTS, refuses=True) as where:
        docker_host(where)
        with connected() as found, pytest.raises(EngineError, match="refuses: not for you"):
            found.workers("worker", None)


def test_a_server_that_is_no_engine_is_one_line(docker_host: Callable[[Address], None]) -> None:
    with canned(http("200 OK", b"{}")) as where:
        docker_host(where)
        with (
            pytest.raises(EngineError, match=r"no Docker engine answers \(what answers is not Docker"),
            connected(),
        ):
            pass
