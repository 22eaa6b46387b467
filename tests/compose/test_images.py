"""What the images are, apart from what runs in them."""

from typing import Any

import docker
import pytest
from docker.errors import ContainerError

from tests.support.compose_project import project
from tfleet import __version__

MB = 1_000_000
_HARDENED = {"read_only": True, "network_mode": "none", "cap_drop": ["ALL"], "remove": True, "stderr": True}


@pytest.fixture(params=["PROXY_IMAGE", "WORKER_IMAGE"])
def image(request: pytest.FixtureRequest, images: dict[str, str]) -> str:
    return images[request.param]


def _config(engine: docker.DockerClient, image: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.images.get(image).attrs["Config"]
    return found


def test_an_image_runs_unprivileged_and_gets_signals(engine: docker.DockerClient, image: str) -> None:
    config = _config(engine, image)
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"][0] == "tfleet"
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "tfleet.deploy.docker.healthcheck"]


def test_an_image_has_its_labels(engine: docker.DockerClient, image: str) -> None:
    labels = _config(engine, image)["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.title"].startswith("tfleet ")


def test_an_image_has_its_revision_as_a_label(engine: docker.DockerClient) -> None:
    name = "tfleet-proxy:labelled"
    with project(engine, PROXY_IMAGE=name, REVISION="0123abc") as building:
        building.compose("build", "proxy", timeout_s=600)
    try:
        assert _config(engine, name)["Labels"]["org.opencontainers.image.revision"] == "0123abc"
    finally:
        engine.images.remove(name)


def test_the_gpu_workers_image_builds_without_tensorflow(engine: docker.DockerClient) -> None:
    """Those are gigabytes; that nothing else is missing is seen in what needs neither."""
    name = "tfleet-worker-gpu:but-cuda"
    with project(engine, "docker-compose.gpu.yml", WORKER_IMAGE=name) as building:
        building.compose("build", "--build-arg", "EXTRA=worker-but-tensorflow", "worker", timeout_s=600)
    try:
        assert b"TFLEET_PORT" in engine.containers.run(name, ["--help"], **_HARDENED)
        asked = {"entrypoint": "python", **_HARDENED}
        assert engine.containers.run(name, ["-c", "import flask, multipart, PIL, docker"], **asked) == b""
        with pytest.raises(ContainerError, match=r"No module named .*tensorflow"):
            engine.containers.run(name, ["-c", "import tensorflow"], **asked)
    finally:
        engine.images.remove(name)


def test_an_image_runs_read_only_without_capabilities(engine: docker.DockerClient, image: str) -> None:
    said = engine.containers.run(image, ["--help"], **_HARDENED)
    assert b"TFLEET_PORT" in said


def test_the_proxy_has_no_tensorflow_and_is_small(
    engine: docker.DockerClient, images: dict[str, str]
) -> None:
    proxy = engine.images.get(images["PROXY_IMAGE"])
    layers = proxy.history()
    base = engine.images.get("python:3.11-slim-bookworm").attrs["Size"]
    assert proxy.attrs["Size"] - base < 150 * MB, layers
    with pytest.raises(ContainerError, match=r"No module named .*tensorflow"):
        engine.containers.run(
            images["PROXY_IMAGE"], ["-c", "import tensorflow"], entrypoint="python", **_HARDENED
        )


def test_a_change_of_the_code_is_a_small_layer(engine: docker.DockerClient, image: str) -> None:
    """The last one with anything in it."""
    sizes = [layer["Size"] for layer in engine.images.get(image).history() if layer["Size"] > 100]
    assert sizes[0] < 20 * MB
