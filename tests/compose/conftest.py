import asyncio
from collections.abc import Iterator

import docker
import pytest
from docker.errors import ImageNotFound

from tests.compose.killed_worker import KilledWorker, kill
from tests.support.compose_project import Project, project
from tests.support.docker_engine import engine as connected
from tests.support.graphs import write_model


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder starts containers; the first one builds images, in minutes."""
    for item in items:
        if "tests/compose/" in item.nodeid:
            item.add_marker(pytest.mark.compose)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    with connected() as client:
        yield client


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient) -> Iterator[dict[str, str]]:
    """Both images under names of the tests' own, as variables of the compose file."""
    names = {"PROXY_IMAGE": "tfleet-proxy:under-test", "WORKER_IMAGE": "tfleet-worker:under-test"}
    try:
        with project(engine, **names) as building:
            building.compose("build", timeout_s=900)
        yield names
    finally:
        for name in names.values():
            try:
                engine.images.remove(name)
            except ImageNotFound:
                continue


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for workers who serve a small model of the user's and ask for tickets."""
    models = tmp_path_factory.mktemp("models")
    models.chmod(0o755)
    write_model(models / "colours" / "1")
    key = tmp_path_factory.mktemp("secrets") / "tickets.key"
    key.write_text("5" * 64 + "\n")
    key.chmod(0o444)
    return {"MODELS": str(models), "TFLEET_MODEL": "/models/colours", "TICKET_KEY_FILE": str(key)}


@pytest.fixture(scope="session")
def small_fleet(
    engine: docker.DockerClient, images: dict[str, str], small_model: dict[str, str]
) -> Iterator[Project]:
    """Three of them."""
    with project(engine, **images, **small_model) as running:
        running.up(workers=3)
        running.settled(3)
        yield running


@pytest.fixture(scope="session")
def killed_worker(small_fleet: Project) -> KilledWorker:
    """A fourth worker, killed under a trickle. It is not started again: who gets its address buries it."""
    small_fleet.up("--no-recreate", workers=4)
    small_fleet.settled(4)
    return asyncio.run(kill(small_fleet, small_fleet.containers("worker")[3]))
