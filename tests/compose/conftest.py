from collections.abc import Iterator

import docker
import pytest
from docker.errors import ImageNotFound

from tests.compose.engine import engine as connected
from tests.compose.project import project


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
