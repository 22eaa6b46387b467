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


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """A client of it. Without it, or compose v2, the test is skipped; with DOCKER_REQUIRED=true it fails."""
    if not has_compose():
        missing("the docker command, or its compose v2, is not there")
    # Not docker.from_env(): one that finds nobody leaves its socket open.
    if not _succeeds("version"):
        missing("no Docker engine answers")
    client = docker.from_env()
    try:
        yield client
    finally:
        client.close()


def has_compose() -> bool:
    """Whether `docker compose` is there; it works without an engine as far as it only reads files."""
    return shutil.which("docker") is not None and _succeeds("compose", "version")


def _succeeds(*arguments: str) -> bool:
    return subprocess.run(["docker", *arguments], capture_output=True, check=False).returncode == 0


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where that may not be."""
    if os.environ.get("DOCKER_REQUIRED") == "true":
        pytest.fail(f"{reason}, and DOCKER_REQUIRED=true does not let this be skipped")
    pytest.skip(reason)
