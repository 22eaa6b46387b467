from collections.abc import Iterator

import docker
import pytest

from tests.compose.swarm.stack import Stack, stack


@pytest.fixture(scope="session")
def swarm(engine: docker.DockerClient) -> Iterator[docker.DockerClient]:
    """The engine as a Swarm of this one machine. It stops being one, unless it was one before."""
    inactive = engine.info()["Swarm"]["LocalNodeState"] == "inactive"
    if inactive:
        engine.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    try:
        yield engine
    finally:
        if inactive:
            engine.swarm.leave(force=True)


@pytest.fixture(scope="session")
def small_stack(
    swarm: docker.DockerClient, images: dict[str, str], small_model: dict[str, str]
) -> Iterator[Stack]:
    """One proxy and two workers, who serve a small model of the user's and ask for tickets."""
    with stack(swarm, **images, **small_model, PROXIES="1") as running:
        running.deploy()
        running.settled(2)
        yield running
