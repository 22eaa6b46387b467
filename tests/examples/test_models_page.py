"""The commands of docs/models.md, given by a reader in a folder that has the repository's models."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.examples.readme import ROOT
from tests.support.environment import users_environment
from tests.support.tfleet_up import PHOTOS, up

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def block(heading: str, language: str) -> str:
    """The first block of code in this language below a heading."""
    _, _, text = PAGE.partition(f"\n## {heading}\n")
    found = re.search(rf"^```{language}\n(.*?)^```$", text.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "worker").symlink_to(ROOT / "worker")
    return tmp_path


def printed(folder: Path, command: list[str], given: str = "") -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        command,
        input=given,
        cwd=folder,
        env=users_environment() | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_model_is_looked_at_and_checked(folder: Path) -> None:
    shown = printed(folder, ["bash", "-c", block("Look at a model", "bash")])
    assert set(block("Look at a model", "console").splitlines()) < set(shown.splitlines())
    assert "tiger cat" in printed(folder, ["bash", "-c", block("Run a model once", "bash")])


def test_a_table_is_asked(folder: Path) -> None:
    asked = block("Ask a model", "bash")
    with up("--model", "worker/models/iris", workers=1, cwd=folder) as fleet:
        lines = printed(folder, ["bash", "-ec", fleet.own(asked.replace("curl ", "echo; curl -s "))])
        models, page, one, rows = (json.loads(line) for line in lines.split("\n") if line)
        results = printed(folder, [sys.executable, "-"], fleet.own(block("Ask a model", "python")))
    assert models["models"][0]["name"] == page["name"] == "iris"
    assert best(one["predictions"]) == "setosa"
    assert [best(row) for row in rows["predictions"]] == ["setosa", "virginica"]
    assert results.count("setosa") == results.count("Prediction(") / 3 == 11


def best(predictions: Any) -> str:
    label: str = predictions[0]["label"]
    return label


def test_a_frozen_graph_is_described_by_options(folder: Path) -> None:
    *copy, start = (
        block("Describe a frozen graph on the command line", "bash").replace("\\\n", "").splitlines()
    )
    printed(folder, ["bash", "-ec", "\n".join(copy)])
    program, command, *options = shlex.split(start)
    assert (program, command) == ("tfleet", "up")
    with up(*options, workers=1, cwd=folder) as fleet:
        answer = json.loads(fleet.curl(f"curl -s -F data=@{PHOTOS}/cat.jpg localhost:12480"))
    assert answer[0][0] == "Egyptian cat"
