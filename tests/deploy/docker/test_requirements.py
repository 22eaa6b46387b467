from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tfleet.deploy.docker.requirements import requirements

ROOT = Path(__file__).parents[3]
PROJECT = {
    "name": "mine",
    "dependencies": ["a>=1"],
    "optional-dependencies": {
        "one": ["b", "mine[two,three]"],
        "two": ["c; python_version > '3'"],
        "three": ["b"],
    },
}


def test_an_extra_is_expanded_to_its_requirements() -> None:
    assert requirements(PROJECT, ["one"]) == ["a>=1", "b", "c; python_version > '3'"]
    assert requirements(PROJECT, []) == ["a>=1"]


def test_an_extra_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        requirements(PROJECT, ["none"])


def test_the_script_needs_no_installed_package() -> None:
    command = [sys.executable, "-I", "-S", "deploy/docker/requirements.py", "proxy", "client"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) < set(lines)
    assert any(line.startswith("uvloop") for line in lines)
    assert not any("tensorflow" in line for line in lines)


def test_the_gpu_worker_differs_only_in_tensorflow() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    gpu, cpu = (set(requirements(project, [extra])) for extra in ("worker-gpu", "worker"))
    assert {line.partition(">")[0] for line in gpu - cpu} == {"tensorflow[and-cuda]"}
    assert {line.partition(">")[0] for line in cpu - gpu} == {"tensorflow", "tensorflow-cpu"}
