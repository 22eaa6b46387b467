from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.golden_folder import golden_folder
from tests.support.consul_agent import consul_agent
from tests.support.fleet_processes import Fleet
from tests.support.forked_workers import forked_workers
from tests.support.tfleet_up import Up, ports_with, up
from tfleet.contract.address import Address
from tfleet.contract.names import REGISTRY_PORT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder starts whole fleets. tests/support/scheduling.py says which share one."""
    for item in items:
        if "tests/fleet/" in item.nodeid:
            item.add_marker(pytest.mark.fleet)


@pytest.fixture(scope="session", autouse=True)
def quick_workers() -> Iterator[None]:
    """From the first test on, so that its imports are done by the time that a test wants a worker."""
    with forked_workers() as Fleet.forked_workers:
        yield


@pytest.fixture(scope="session")
def model(quick_workers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small one, that answers with the colours of an image."""
    return Fleet.forked_workers.write_model(tmp_path_factory.mktemp("models") / "colours" / "1")


@pytest.fixture(scope="session")
def golden_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden_folder(tmp_path_factory)


@pytest.fixture(scope="module", params=["embedded", "consul"])
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
