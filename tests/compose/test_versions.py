"""docs/how-to/versions-with-compose.md, done word for word under a trickle of requests: none is lost."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from tests.docs.markdown import ROOT, code_blocks
from tests.support.compose_project import Project, project
from tests.support.tensor_models import write_version
from tests.support.version_load import VersionLoad

PAGE = (ROOT / "docs" / "how-to" / "versions-with-compose.md").read_text()
OVERRIDE = "docker-compose.override.yml"
RATE = 20.0
STAGE = 20
"""Requests in each stage."""


class Operator:
    """Does to a project what a section of the page says."""

    def __init__(self, fleet: Project) -> None:
        self.fleet = fleet
        self.ran: list[str] = []

    async def follow(self, title: str) -> None:
        """Settings replace those of before, as in .env; commands have to succeed."""
        for language, text in code_blocks(PAGE, title):
            if language == "ini":
                settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
                self.fleet = replace(self.fleet, variables={**self.fleet.variables, **settings})
            elif language == "bash":
                for line in text.splitlines():
                    await self.run(line)

    async def run(self, line: str) -> None:
        """A line of `docker compose`."""
        words = shlex.split(line, comments=True)
        assert words[:2] == ["docker", "compose"], line
        await asyncio.to_thread(self.fleet.compose, *words[2:])
        self.ran.append(" ".join(words[2:]))

    def ids(self, service: str) -> list[str]:
        """Its containers."""
        return [str(container.id) for container in self.fleet.containers(service)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions of one model, and another model whose answers are none of theirs."""
    folder = tmp_path_factory.mktemp("versions")
    folder.chmod(0o755)
    for name in ("flowers/1", "flowers/2", "flowers/3", "iris/7"):
        write_version(folder / name)
    return folder


@pytest.fixture
def operator(engine: docker.DockerClient, images: dict[str, str], models: Path) -> Iterator[Operator]:
    with project(engine, **images, MODELS=str(models)) as fleet:
        yield Operator(fleet)


async def _all_from(load: VersionLoad, version: str) -> None:
    """The next answers are right, and all of this version."""
    answers = await load.next(STAGE)
    assert answers.failures == []
    assert answers.versions.keys() == {version}


async def test_new_versions_take_over_without_a_lost_request(operator: Operator) -> None:
    await operator.follow("Start version 1")
    async with VersionLoad(f"{operator.fleet.url}/predict", rate=RATE, model="flowers") as load:
        await _all_from(load, "1")
        await operator.follow("Roll out version 2")
        await _all_from(load, "2")
        assert operator.ids("worker") == []
        green = operator.ids("worker-green")
        await operator.run("docker compose up --wait")
        assert operator.ids("worker-green") == green, "a further `up` changes nothing"
        await operator.follow("Roll out version 3")
        await _all_from(load, "3")
        assert operator.ids("worker-green") == []
    assert load.answers.failures == []
    assert "exec proxy tfleet rollout flowers 2 --percent 50" in operator.ran


async def test_models_are_services_and_never_mix(operator: Operator, tmp_path: Path) -> None:
    (override,) = (text for language, text in code_blocks(PAGE, "Serve several models") if language == "yaml")
    old = re.search(r"  flowers-1:\n(?: {4}.*\n)+", override)
    assert old
    new = old[0].replace("flowers-1", "flowers-2").replace("flowers/1", "flowers/2")
    file = tmp_path / OVERRIDE
    operator.fleet = replace(operator.fleet, files=(str(file),))
    file.write_text(override)
    await operator.follow("Serve several models")
    await operator.run("docker compose exec proxy tfleet rollout flowers 1")
    url = operator.fleet.url
    async with (
        VersionLoad(f"{url}/models/flowers/predict", rate=RATE, model="flowers") as flowers,
        VersionLoad(f"{url}/models/iris/predict", rate=RATE, model="iris") as iris,
    ):
        await _all_from(flowers, "1")
        file.write_text(f"{override}\n{new}")
        await operator.run("docker compose up --wait")
        await operator.run("docker compose exec proxy tfleet rollout flowers 2")
        await operator.run("docker compose exec proxy tfleet promote flowers")
        file.write_text(override.replace(old[0], new))
        await operator.run("docker compose up --wait --remove-orphans")
        assert operator.ids("flowers-1") == []
        await _all_from(flowers, "2")
        await _all_from(iris, "7")
    assert (flowers.answers.failures, iris.answers.failures) == ([], [])
