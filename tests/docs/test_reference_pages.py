"""docs/reference/: the generated pages are what the code says, and the others name what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import ROOT, cells
from tfleet.worker.model import manifest
from tools.reference_pages import COMMAND, FOREIGN, all_options, pages

_CONFIGURATION: Final = (ROOT / "docs" / "reference" / "configuration-files.md").read_text()
_PACKAGES: Final = (
    *("contract", "runtime", "httpd", "discovery", "jobs"),
    *("proxy", "worker", "client", "deploy"),
)
_UNITS: Final = {"MiB": 2**20, "million": 10**6, "s": 1, "s of CPU": 1, "": 1}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_generated_page_is_current(page: Path) -> None:
    assert page.read_text() == pages()[page], f"options have changed: run `{COMMAND}`"


def test_each_variable_of_other_programs_is_documented() -> None:
    code = "".join(file.read_text() for package in _PACKAGES for file in (ROOT / package).glob("**/*.py"))
    read = set(re.findall(r"\"(CONSUL_[A-Z_]+|COMPOSE_PROJECT_[A-Z_]+|DOCKER_[A-Z_]+)\"", code))
    assert read == FOREIGN.keys()


def test_each_key_of_model_toml_is_documented() -> None:
    keys = re.findall(r"^\| `(\w+)` \|", _section("model.toml"), re.MULTILINE)
    assert keys == [*manifest._MODEL_KEYS, *manifest._INPUT_KEYS, *manifest._OUTPUT_KEYS]


def test_each_variable_of_the_compose_files_is_documented() -> None:
    example = dict(re.findall(r"^#([A-Z_0-9]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    documented_elsewhere = ("TFLEET_", *FOREIGN)
    own = {name for name in example if not name.startswith(documented_elsewhere)}
    rows = [cells(line)[0] for line in _section(".env").splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(own)


def _section(title: str) -> str:
    return _CONFIGURATION.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_each_default_in_the_limits_is_the_option_s() -> None:
    page = (ROOT / "docs" / "reference" / "limits.md").read_text()
    rows = re.findall(r"^\| \[`--[\w-]+`\]\(command-line\.md#([\w-]+)\) \| ([^|]+) \|", page, re.MULTILINE)
    defaults = {option.anchor: option.default for option in all_options()}
    in_numbers = {anchor: _number(shown) for anchor, shown in rows}
    stated = {anchor: number for anchor, number in in_numbers.items() if number is not None}
    assert stated == {anchor: float(defaults[anchor] or "nan") for anchor in stated}
    assert len(stated) > 15


def _number(shown: str) -> float | None:
    """`32 MiB` as bytes; None where the default is said in words."""
    found = re.fullmatch(r"(?P<number>[\d.]+)(?:/s)? ?(?P<unit>[a-zA-Z ]*)", shown.strip())
    return float(found["number"]) * _UNITS[found["unit"].strip()] if found else None
