"""The Docker engine of this machine, for tests that want one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import docker
import pytest
from docker.errors import DockerException


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """A client of it. Without it, or compose v2, the test is skipped; with DOCKER_REQUIRED=true it fails."""
    try:
        client = docker.from_env()
    except DockerException as error:
        missing(f"no Docker engine answers: {error}")
    try:
        if not has_compose():
            missing("the docker command has no compose v2")
        yield client
    finally:
        client.close()


def has_compose() -> bool:
    """Whether `docker compose` is there; it works without an engine as far as it only reads files."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where that may not be."""
    if os.environ.get("DOCKER_REQUIRED") == "true":
        pytest.fail(f"{reason}, and DOCKER_REQUIRED=true does not let this be skipped")
    pytest.skip(reason)
