from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.consul_agent import consul_agent
from tests.fleet.nursery import nursery
from tests.fleet.processes import Fleet
from tests.fleet.up import ON_PORTS, Up, ports_with, up
from tfleet.discovery.address import Address
from tfleet.discovery.contract import REGISTRY_PORT

_SHARED_FLEETS = {"fleet", "p2p_fleet", "faulty"}
"""Fixtures that are a fleet for several tests of a module."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder starts whole fleets. Under `-n` those who share one run in one process."""
    for item in items:
        if "tests/fleet/" not in item.nodeid:
            continue
        item.add_marker(pytest.mark.fleet)
        shares = _SHARED_FLEETS.intersection(getattr(item, "fixturenames", ()))
        if shares and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {_registry(item)}"))


def _registry(item: pytest.Item) -> str:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return str(parameters.get("registry", ""))


@pytest.fixture(scope="session", autouse=True)
def quick_workers() -> Iterator[None]:
    """From the first test on, so that its imports are done by the time that a test wants a worker."""
    with nursery() as Fleet.nursery:
        yield


@pytest.fixture(scope="session")
def model(quick_workers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small one, that answers with the colours of an image."""
    return Fleet.nursery.write_model(tmp_path_factory.mktemp("models") / "colours" / "1")


@pytest.fixture(scope="module", params=[pytest.param("embedded", marks=ON_PORTS), "consul"])
def registry(request: pytest.FixtureRequest) -> Iterator[tuple[str, Address]]:
    """What `--registry` says, and where the registry answers: the embedded one on its default port."""
    if request.param == "embedded":
        yield "embedded", Address("127.0.0.1", REGISTRY_PORT)
        return
    with consul_agent() as consul:
        yield f"consul://{consul.address}", consul.address


@pytest.fixture(scope="module")
def fleet(registry: tuple[str, Address]) -> Iterator[Up]:
    """Two workers behind a proxy in forward mode; as a newcomer has it, where the registry is embedded."""
    with up("--registry", registry[0], ports=ports_with(registry[0])) as running:
        yield running
